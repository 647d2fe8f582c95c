"""The scan of layers, and the choices that it makes under a budget."""

import copy
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
import nn
from compress.sensitivity import Sensitivity, Trial
from nn.kernels import kmeans1d
from nn.kernels.kmeans1d import nearest

CHOICES = [compress.Quantize(bits) for bits in (8, 4, 2)]


@pytest.fixture(scope="module")
def scanned():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(8, 16, rng=rng), nn.ReLU(), nn.Linear(16, 4, rng=rng))
    x = rng.standard_normal((64, 8)).astype(np.float32)
    y = rng.integers(0, 4, 64)
    before = {name: p.data.copy() for name, p in model.named_parameters()}
    scan = compress.sensitivity_scan(model, CHOICES, x, y)
    assert all(np.array_equal(p.data, before[name]) for name, p in model.named_parameters())
    return model, x, y, scan


def test_what_one_layer_costs_is_what_a_program_with_it_costs(scanned):
    model, x, y, scan = scanned
    assert list(scan.trials) == ["0", "2"]
    sizes = [trial.nbytes for trial in scan.trials["0"]]
    assert sizes == [8 * 16 * 4, 128 + 64, 64 + 64, 32 + 64]
    recipe = {"2": scan.trials["2"][3].choice}
    twin = compress.prepare(copy.deepcopy(model), recipe, x).eval()
    logits = compress.convert(twin)(x)
    with nn.no_grad():
        loss = float(nn.functional.cross_entropy(nn.Tensor(logits), y).data)
    assert scan.trials["2"][3].loss == pytest.approx(loss - scan.loss, abs=1e-9)
    assert "Quantize(bits=2)" in str(scan)


@given(st.lists(st.lists(st.tuples(st.integers(1, 30), st.integers(-3, 9)), min_size=1, max_size=4),
                min_size=1, max_size=4), st.integers(0, 100), st.integers(-5, 30))
def test_the_choices_are_the_best_of_all(sizes, budget, loss):
    def chain(j):
        return compress.Chain([compress.Quantize()]) if j else None

    scan = Sensitivity(1.0, {str(i): tuple(Trial(str(i), chain(j), *trial) for j, trial in enumerate(trials))
                             for i, trials in enumerate(sizes)})
    every = [(sum(one.nbytes for one in some), sum(one.loss for one in some))
             for some in product(*scan.trials.values())]
    if sizes[0][0][0] % 2:  # the same, called by another name
        scan = Sensitivity(1.0, {layer: tuple(Trial(one.layer, one.choice, 0, one.loss, one.nbytes)
                                              for one in trials) for layer, trials in scan.trials.items()}, 7)
        fits = [loss for size, loss in every if size + 7 <= budget]
        got = None if not fits else scan.recipe(macs=budget)
        assert got is None or scan.predicted(got)[1] - 1 == min(fits)
        return
    for by, limit, first in (("nbytes", budget, 1), ("loss", loss, 0)):
        fits = [one[::-1] if first else one for one in every if one[1 - first] <= limit]
        if not fits:
            with pytest.raises(ValueError, match="nothing fits; the smallest takes"):
                scan.recipe(**{by: limit})
            continue
        got = scan.predicted(scan.recipe(**{by: limit}))
        got = got[0], got[1] - 1
        assert (got[::-1] if first else got) == min(fits)


def test_inertia_and_loss_are_both_told_and_choose_apart():
    """The larger layer has the larger inertia; the loss depends on the other one alone."""
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(8, 32, rng=rng), nn.ReLU(), nn.Linear(32, 4, rng=rng))
    model[0].weight.data *= 30
    model[0].bias.data[:] = -1e4  # the ReLU lets nothing of it through
    x, y = rng.standard_normal((64, 8)).astype(np.float32), rng.integers(0, 4, 64)
    scan = compress.sensitivity_scan(model, [compress.Cluster(4), compress.Cluster(2)], x, y)
    for layer, trials in scan.trials.items():
        w = dict(model.named_parameters())[f"{layer}.weight"].data
        centroids = kmeans1d(w.ravel(), 4)
        inertia = np.sum((w - centroids[nearest(w, centroids)].astype(np.float64)) ** 2)
        assert trials[2].squares == pytest.approx(inertia, rel=1e-5)
        assert trials[0].squares == 0
        assert f"{trials[2].squares:.4g}" in str(scan)
    assert [trial.loss for trial in scan.trials["0"]] == [0, 0, 0]
    by_loss, by_squares = scan.recipe(nbytes=700), scan.by_squares().recipe(nbytes=700)
    assert by_loss.choices["0"].stages[0].bits == 2  # it is free
    assert by_squares.choices["0"] is None or by_squares.choices["0"].stages[0].bits == 4
    assert scan.predicted(by_loss)[1] <= scan.predicted(by_squares)[1]


def test_a_recipe_under_a_budget_converts(scanned):
    model, x, _, scan = scanned
    recipe = scan.recipe(nbytes=300)
    size, _ = scan.predicted(recipe)
    assert size <= 300
    program = compress.convert(compress.prepare(copy.deepcopy(model), recipe, x).eval())
    stored = [w for w in program.constants.values() if isinstance(w, compress.Stored)]
    assert sum(sum(w.itemised().values()) for w in stored) == size


def test_what_cant_be_scanned_is_refused(scanned):
    model, x, y, scan = scanned
    with pytest.raises(ValueError, match=r"nbytes=, loss= or macs=, one of them"):
        scan.recipe()
    with pytest.raises(ValueError, match=r"nothing fits; the smallest takes \d+ bytes"):
        scan.recipe(nbytes=10)
    prepared = compress.prepare(copy.deepcopy(model), compress.Quantize(), x)
    with pytest.raises(ValueError, match="wanted one choice at least"):
        compress.sensitivity_scan(model, [], x, y)
    for whole in ({"0": compress.Quantize()}, compress.Recipe({"0": compress.Quantize()}), None):
        with pytest.raises(TypeError, match="a choice is for any layer, a transform, a list"):
            compress.sensitivity_scan(model, [compress.Prune(0.5), whole], x, y)
    with pytest.raises(ValueError, match="is prepared already"):
        compress.sensitivity_scan(prepared, CHOICES, x, y)
    with pytest.raises(ValueError, match=r"no layer with a weight is called \['fc'\]; there are \['0', '2'"):
        compress.sensitivity_scan(model, CHOICES, x, y, layers=["fc"])
