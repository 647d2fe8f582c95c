"""Scores by gradients and by curvature: what they promise, and what they need."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
import nn
from compress import Cubic, Prune
from compress.pruning.obd import OBD
from compress.pruning.obs import OBS
from compress.pruning.oracle import oracle
from compress.second_order import damped
from compress.testing import Subject, holds
from compress.testing.laws import LAWS
from nn.functional import mse_loss
from tests.compress.pruning.quadratics import SEEDS


class Line(nn.Module):
    """y = w·x, whose mean square error is a quadratic in w."""

    def __init__(self, w):
        super().__init__()
        self.fc = nn.Linear(w.shape[1], len(w), bias=False)
        self.fc.weight.data = w.astype(np.float32)

    def forward(self, x):
        return self.fc(x)


def error(model, x, y):
    with nn.no_grad():
        return float(np.square(model(nn.Tensor(x)).data - y, dtype=np.float64).mean())


@given(SEEDS, st.integers(2, 8))
def test_obd_predicts_the_loss_where_inputs_are_orthogonal(seed, n):
    """On a diagonal quadratic at its minimum ΔL is the sum of ½·h·w² to the rounding of float32, and no mask
    of as many weights loses less: the oracle has no regret."""
    rng = np.random.default_rng(seed)
    x = (np.linalg.qr(rng.standard_normal((2 * n, n)))[0] * 10 ** rng.uniform(-1, 1, n)).astype(np.float32)
    w = rng.standard_normal((1, n)).astype(np.float32)
    y = x @ w.T
    model = compress.prepare(Line(w), Prune(0.5, score="obd"), x, targets=y, loss=mse_loss)
    h = 2 * np.mean(x.astype(np.float64) ** 2, axis=0)
    saliency = h * w.astype(np.float64) ** 2 / 2
    mask = model.fc.weight.parametrization.states[0].mask
    gone = np.sum(saliency * (mask == 0))
    assert error(model, x, y) == pytest.approx(gone, rel=1e-4)
    found = oracle(w, lambda v: float(np.square(x.astype(np.float64) @ (v - w).T).mean()))
    assert found.regret(mask) <= 1e-5 * found.losses.max()
    assert np.all(found.regrets(saliency) <= 1e-5 * found.losses.max())


def trained(rng=None):
    """A classifier at its minimum: the gradient of its loss is as good as 0."""
    rng = np.random.default_rng(0) if rng is None else rng
    x = rng.standard_normal((60, 1, 5, 5)).astype(np.float32)
    y = (x[:, 0, 2, 2] + 0.7 * x[:, 0, 1, 1] + 0.5 * rng.standard_normal(60) > 0).astype(int)
    model = nn.Sequential(nn.Conv2d(1, 3, 3, bias=False, rng=rng), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(),
                          nn.Linear(27, 2, rng=rng))
    nn.train.fit(model, x, y, epochs=10, optimizer=nn.optim.Adam(model.parameters(), lr=0.01),
                 rng=rng, batch_size=20, progress=False)
    return model, x, y


@pytest.fixture(scope="module")
def classifier():
    return trained()


def test_curvature_is_the_mean_of_squares_and_not_the_square_of_a_mean(classifier):
    """Trap 26: the gradients of the examples cancel where training has ended, their squares do not. And batch
    norm is in evaluation mode, whatever the model is in, and its statistics stand still."""
    model, x, y = classifier
    model = copy.deepcopy(model).train()
    before = model.state_dict()
    found = {}

    class Keeps(OBD, name="obd, kept"):
        def saliency(self, w, context):
            found[context.name] = context.curvature(None, 0), np.concatenate(list(context.gradients()))
            return super().saliency(w, context)

    compress.prepare(model, Prune(0.5, score=Keeps()), x, targets=y)
    for name, (curvature, gradients) in found.items():
        assert np.mean(curvature) > 20 * np.mean(gradients.mean(axis=0) ** 2)
        wanted = nn.curvature.gauss_newton_diag(classifier[0].eval(), nn.functional.cross_entropy, x, y)
        assert np.allclose(curvature, wanted[name], rtol=1e-4, atol=1e-6 * curvature.max())
    after = model.state_dict()
    assert model.training
    assert all(np.array_equal(after[name], before[name]) for name in before)


def test_taylor_is_the_mean_size_of_what_each_loss_changes_by(classifier):
    model, x, y = classifier
    grads = nn.curvature.per_sample_grads(model.eval(), nn.functional.cross_entropy, x, y)["4.weight"]
    wanted = np.abs(grads * model[4].weight.data).mean(axis=0)
    pruned = compress.prepare(copy.deepcopy(model), {"4": Prune(0.5, score="taylor")}, x, targets=y)
    gone = np.flatnonzero(pruned[4].weight.parametrization.states[0].mask == 0)
    assert np.array_equal(gone, np.sort(np.argsort(wanted, axis=None)[:27]))


def seen(parameter):
    return parameter.parametrization.project(parameter).data


@pytest.mark.parametrize("pattern", ["element", "2x1", "row", "column", "1:3"])
def test_obs_leaves_the_best_weight_with_its_zeros(classifier, pattern):
    """No step of what stays makes the mean square error of the layer's outputs less (damping apart)."""
    model, x, _ = classifier
    sparsity = None if ":" in pattern else 0.5
    prune = Prune(sparsity, score=OBS(damping=1e-6), pattern=pattern)
    before, pruned = copy.deepcopy(model), compress.prepare(copy.deepcopy(model), {"4": prune}, x)
    with nn.no_grad():
        read = before.eval()[:4](nn.Tensor(x)).data.astype(np.float64)
    h, w = damped(2 * read.T @ read / len(read), 1e-6), before[4].weight.data
    left, mask = seen(pruned[4].weight), pruned[4].weight.parametrization.states[0].mask
    assert np.array_equal(left == 0, mask == 0)
    assert np.array_equal(pruned[4].weight.data, left)
    slope = (w - left.astype(np.float64)) @ h
    assert np.abs(slope[mask != 0]).max(initial=0) < 1e-4 * np.abs(w @ h).max()
    if pattern != "row":  # of which nothing stays to be moved
        assert not np.array_equal(left, w * mask)


def test_obs_loses_less_than_magnitude(classifier):
    model, x, _ = classifier
    with nn.no_grad():
        read = copy.deepcopy(model).eval()[:4](nn.Tensor(x)).data
    errors = []
    for score in ("obs", "magnitude"):
        pruned = compress.prepare(copy.deepcopy(model), {"4": Prune(0.6, score=score)}, x)
        errors.append(np.square(read @ (seen(pruned[4].weight) - model[4].weight.data).T).sum())
    assert errors[0] < 0.5 * errors[1]


def test_a_row_costs_what_it_gives(classifier):
    """½·w·H·wᵀ, its outputs' mean square: the sum over its weights, since each went at its exact cost."""
    model, x, _ = classifier
    found = {}

    class Keeps(OBS, name="obs, kept"):
        def saliency(self, w, context):
            found[context.name] = super().saliency(w, context), context.hessian().matrix[0]
            return found[context.name][0]

    compress.prepare(copy.deepcopy(model), {"4": Prune(0.5, score=Keeps())}, x)
    saliency, h = found["4.weight"]
    w = model[4].weight.data.astype(np.float64)
    assert np.allclose(saliency.sum(axis=1), np.einsum("oi,ij,oj->o", w, damped(h, 0.01), w) / 2)


def test_without_greed_each_weight_is_ranked_by_its_own_removal(classifier):
    """½·w²/[H⁻¹]ᵢᵢ for all at once: never more than ½·h·w², what it costs when the others stand still; and
    what stays is moved all the same."""
    model, x, _ = classifier
    with nn.no_grad():
        read = copy.deepcopy(model).eval()[:4](nn.Tensor(x)).data.astype(np.float64)
    h, w = damped(2 * read.T @ read / len(read), 0.01), model[4].weight.data.astype(np.float64)
    wanted = w**2 / np.diag(np.linalg.inv(h)) / 2
    assert np.all(wanted <= np.diag(h) * w**2 / 2 * (1 + 1e-9))
    pruned = compress.prepare(copy.deepcopy(model), {"4": Prune(0.5, score=OBS(greedy=False))}, x)
    gone = np.flatnonzero(pruned[4].weight.parametrization.states[0].mask == 0)
    assert np.array_equal(gone, np.sort(np.argsort(wanted, axis=None)[:27]))
    left = seen(pruned[4].weight)
    assert not np.array_equal(left, model[4].weight.data * (left != 0))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_the_laws_of_every_transform_hold_for_obs(law):
    holds(law, Subject.of(Prune(0.6, score="obs")), 4)
    holds(law, Subject.of(Prune(0.5, Cubic(end=2), score="obs", pattern="2x1")), 4)


def test_where_prepare_fails_nothing_has_moved(classifier):
    model, x, y = classifier
    model = copy.deepcopy(model)
    before = {name: (p, p.data, p.data.copy()) for name, p in model.named_parameters()}
    with pytest.raises(ValueError, match=r"4.weight is scored by the gradient of the loss: give prepare ta"):
        compress.prepare(model, {"0": Prune(0.5, score="obs"), "4": Prune(0.5, score="taylor")}, x)
    for parameter, array, copied in before.values():
        assert parameter.data is array
        assert np.array_equal(array, copied)
        assert parameter.parametrization is None
    compress.prepare(model, {"0": Prune(0.5, score="obs"), "4": Prune(0.5, score="taylor")}, x, targets=y)


class Half(compress.Prune):
    """A technique that makes nothing which others could destroy."""

    makes = frozenset()

    def __init__(self):
        super().__init__(0.5)


def test_what_a_score_needs_is_named(classifier):
    model, x, y = classifier
    for score, error in (("obs", "OBS: 0.weight is scored by what its layer reads: give prepare an ex"),
                         ("obd", "OBD: 0.weight is scored by the curvature of the loss: give prepare an ex"),
                         ("taylor", "Taylor: 0.weight is scored by the gradient of the loss: give prepare")):
        with pytest.raises(ValueError, match=error):
            compress.prepare(copy.deepcopy(model), Prune(0.5, score=score))
    with pytest.raises(ValueError, match="targets and loss are of an example; give prepare its inputs"):
        compress.prepare(copy.deepcopy(model), Prune(0.5), targets=y)
    with pytest.raises(ValueError, match="Prune after Quantize would destroy multiples of a scale"):
        compress.prepare(copy.deepcopy(model), [compress.Quantize(8), Prune(0.5, score="obs")], x)
    with pytest.raises(ValueError, match=r"OBS.*moves the weights that stay, which only the first stage"):
        compress.prepare(copy.deepcopy(model), [Half(), Prune(0.5, score="obs")], x)
    with pytest.raises((TypeError, ValueError), match="damping"):
        OBS(damping=0)
    with pytest.raises(TypeError, match="greedy"):
        OBS(greedy="no")
    with pytest.raises((TypeError, ValueError), match="samples"):
        OBD(samples=0)
    with pytest.raises(ValueError, match="seed"):
        OBD(seed=-1)


@pytest.mark.parametrize("score", ["taylor", OBD(samples=2), "obs"])
def test_a_schedule_asks_anew_and_resumes_to_the_same_bits(tmp_path, score):
    def run(stop=None, checkpoint=None):
        model, x, y = trained()
        compress.prepare(model, {"4": Prune(0.8, Cubic(end=8, every=2), score=score)}, x, targets=y)

        def on_step(step, loss):
            if step == stop:
                raise KeyboardInterrupt

        nn.train.fit(model, x, y, epochs=3, optimizer=nn.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
                     rng=np.random.default_rng(2), batch_size=20, checkpoint=checkpoint, every=3,
                     on_step=on_step, progress=False)
        return model.state_dict()

    whole = run()
    assert np.count_nonzero(whole["4.weight.parametrization.0.mask"] == 0) == 43
    assert np.count_nonzero(whole["4.weight"] == 0) == 43
    with pytest.raises(KeyboardInterrupt):
        run(5, tmp_path / "run")
    again = run(None, tmp_path / "run")
    assert all(again[name].tobytes() == array.tobytes() for name, array in whole.items())


def test_a_convolution_in_groups_is_moved_group_by_group():
    """Each group of filters reads channels of its own: with the same zeros, the outputs on the example are
    nearer to what they were than without the update."""
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Conv2d(4, 6, 2, groups=2, rng=rng), nn.Flatten(), nn.Linear(6 * 9, 2, rng=rng))
    x = rng.standard_normal((50, 4, 1, 1)).astype(np.float32) + 0.3 * rng.standard_normal(
        (50, 4, 4, 4)).astype(np.float32)
    pruned = compress.prepare(copy.deepcopy(model), {"0": Prune(0.5, score="obs")}, x)
    mask = pruned[0].weight.parametrization.states[0].mask
    still = copy.deepcopy(model)
    still[0].weight.data = still[0].weight.data * mask
    with nn.no_grad():
        wanted, moved, alone = (one[0](nn.Tensor(x)).data for one in (model, pruned, still))
    assert np.count_nonzero(mask == 0) == 24
    assert np.square(moved - wanted).sum() < 0.5 * np.square(alone - wanted).sum()


def test_a_copy_is_told_of_itself(classifier):
    """What a score is told at the next step of a schedule is of the model that is trained, also in a copy."""
    model, x, y = classifier
    first = compress.prepare(copy.deepcopy(model), Prune(0.8, Cubic(end=4), score="taylor"), x, targets=y)
    twin = copy.deepcopy(first)
    told = [one[4].weight.parametrization.states[0].context.gradients for one in (first, twin)]
    before = np.concatenate(list(told[0]()))
    twin[0].weight.data = twin[0].weight.data * np.float32(2)
    twin[4].weight.data = twin[4].weight.data * np.float32(3)
    assert np.array_equal(np.concatenate(list(told[0]())), before)
    assert not np.array_equal(np.concatenate(list(told[1]())), before)
