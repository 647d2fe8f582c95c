"""One sparsity for a network becomes one for each layer: the total is exact, and the choice what it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
import nn
from compress import Cubic, Prune
from compress.distribution import global_sparsity, scanned_sparsity, uniform_sparsity

SEEDS = st.integers(0, 2**32 - 1)


class Layers(nn.Module):
    """Linear layers of these widths, one after the other."""

    def __init__(self, widths, rng):
        super().__init__()
        self.names = [f"fc{i}" for i in range(len(widths) - 1)]
        for name, n, out in zip(self.names, widths, widths[1:], strict=False):
            setattr(self, name, nn.Linear(n, out, rng=rng))

    def forward(self, x):
        for name in self.names[:-1]:
            x = getattr(self, name)(x).relu()
        return getattr(self, self.names[-1])(x)


def masks(model, recipe, *given_, **named):
    compress.prepare(model, recipe, *given_, **named)
    return {name: p.parametrization.states[0].mask for name, p in model.named_parameters()
            if p.parametrization is not None}


@given(SEEDS, st.lists(st.integers(1, 7), min_size=2, max_size=5), st.floats(0, 0.99),
       st.sampled_from(["element", "row", "2x1", "column"]),
       st.sampled_from([uniform_sparsity, global_sparsity]))
def test_the_total_is_exact_and_a_group_of_each_layer_stays(seed, widths, sparsity, pattern, distribute):
    model = Layers(widths, np.random.default_rng(seed))
    prune = Prune(sparsity, pattern=pattern)
    sizes = [prune.pattern.groups(getattr(model, name).weight.shape) for name in model.names]
    total = round(sparsity * sum(sizes))
    if total > sum(sizes) - len(sizes):
        with pytest.raises(ValueError, match=r"one of each of .* layers has to stay"):
            distribute(model, prune)
        return
    found = masks(model, distribute(model, prune))
    pruned = [prune.pattern.pruned(found[f"{name}.weight"]) for name in model.names]
    assert sum(pruned) == total
    assert all(gone < size for gone, size in zip(pruned, sizes, strict=True))
    if distribute is uniform_sparsity and total <= 0.5 * sum(sizes) and min(sizes) > 3:
        assert all(abs(gone - sparsity * size) < 1 + 1e-9 for gone, size in zip(pruned, sizes, strict=True))


@given(SEEDS, st.floats(0, 0.9))
def test_a_global_threshold_prunes_the_least_of_all(seed, sparsity):
    model = Layers([5, 9, 4, 6], np.random.default_rng(seed))
    weights = [getattr(model, name).weight.data.copy() for name in model.names]
    found = masks(model, global_sparsity(model, Prune(sparsity)))
    gone = [np.abs(w[found[f"{name}.weight"] == 0]) for name, w in zip(model.names, weights, strict=True)]
    every = np.sort(np.concatenate([np.abs(w).ravel() for w in weights]))
    assert np.array_equal(np.sort(np.concatenate(gone)), every[:round(sparsity * every.size)])


def test_groups_of_different_sizes_are_ranked_by_what_a_weight_is_worth():
    """Trap 29: rows of 4 and of 100 weights that are alike. By their sums all the short rows go first; by
    what a weight of them is worth in the mean, as many of either."""
    rng = np.random.default_rng(0)
    model = Layers([4, 100, 100], rng)
    for name in model.names:
        w = getattr(model, name).weight
        w.data = rng.standard_normal(w.shape).astype(np.float32)
    for normalise, low, high in (("none", 99, 99), ("size", 35, 65), ("rms", 35, 65)):
        recipe = global_sparsity(model, Prune(0.5, pattern="row"), normalise=normalise)
        short, long = (round(100 * recipe.choices[name].stages[0].sparsity) for name in model.names)
        assert low <= short <= high, normalise
        assert short + long == 100


def test_scores_that_ask_for_the_loss_are_ranked_over_all_layers():
    rng = np.random.default_rng(0)
    model = Layers([6, 12, 3], rng)
    x, y = rng.standard_normal((40, 6)).astype(np.float32), rng.integers(0, 3, 40)
    prune = Prune(0.6, score="taylor")
    grads = nn.curvature.per_sample_grads(model.eval(), nn.functional.cross_entropy, x, y)
    every = np.sort(np.concatenate([np.abs(grads[f"{name}.weight"] * getattr(model, name).weight.data).mean(
        axis=0).ravel() for name in model.names]))
    recipe = global_sparsity(model, prune, x, targets=y, normalise="none")
    threshold = every[round(0.6 * every.size)]
    for name in model.names:
        saliency = np.abs(grads[f"{name}.weight"] * getattr(model, name).weight.data).mean(axis=0)
        stage = recipe.choices[name].stages[0]
        assert round(stage.sparsity * saliency.size) == np.count_nonzero(saliency < threshold * (1 - 1e-6))
    with pytest.raises(ValueError, match=r"fc0.weight is scored by the gradient of the loss"):
        global_sparsity(model, prune, x)
    found = masks(model, recipe, x, targets=y)
    assert sum(np.count_nonzero(mask == 0) for mask in found.values()) == round(0.6 * every.size)


def test_a_budget_is_kept():
    rng = np.random.default_rng(0)
    model = Layers([8, 32, 32, 4], rng)
    x = rng.standard_normal((64, 8)).astype(np.float32)
    y = rng.integers(0, 4, 64)
    dense = compress.convert(model, x)
    prune = Prune(0.5, Cubic(end=4))
    for budget in ({"nbytes": 3000}, {"macs": dense.macs // 2}, {"loss": 0.05}):
        recipe = scanned_sparsity(model, prune, x, y, sparsities=(0.5, 0.8, 0.9), **budget)
        stages = [chain.stages[0] for chain in recipe.choices.values() if chain]
        assert stages
        assert all(stage.schedule == prune.schedule for stage in stages)
        twin = Layers([8, 32, 32, 4], np.random.default_rng(0))
        once = {layer: chain and Prune(chain.stages[0].sparsity) for layer, chain in recipe.choices.items()}
        program = compress.convert(compress.prepare(twin, once, x).eval())
        if "macs" in budget:
            assert program.macs <= budget["macs"]
        if "nbytes" in budget:
            weights = [program.constants[f"{name}.weight"] for name in twin.names]
            assert sum(sum(w.itemised().values()) if isinstance(w, compress.Stored) else w.nbytes
                       for w in weights) <= 3000


def test_a_scan_takes_an_example_with_its_targets():
    """A score by the loss is asked on other inputs than those on which the loss is measured."""
    rng = np.random.default_rng(0)
    model = Layers([8, 16, 4], rng)
    x, y = rng.normal(size=(40, 8)).astype(np.float32), rng.integers(0, 4, 40)
    prune = Prune(0.5, score="taylor")
    with pytest.raises(ValueError, match="targets="):
        scanned_sparsity(model, prune, x, y, loss=1.0, sparsities=(0.5,), example=x[:10])
    recipe = scanned_sparsity(model, prune, x, y, loss=1.0, sparsities=(0.5,), example=x[:10],
                              targets=y[:10])
    assert {chain.stages[0].sparsity for chain in recipe.choices.values()} == {0.5}


def test_what_cant_be_distributed_is_refused():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, rng=rng), nn.Flatten(), nn.Linear(16, 2, rng=rng))
    recipe = uniform_sparsity(model, Prune(0.5, pattern="filter"))
    assert list(recipe.choices) == ["0"]                      # a linear layer has no filters
    for error, prune, layers in (("2.weight: the pattern .filter. is", Prune(0.5, pattern="filter"), ["2"]),
                                 (r"no layer with a weight is called \['fc'\]", Prune(0.5), ["fc"]),
                                 ("layers must be a list of names, .*; got '2'", Prune(0.5), "2"),
                                 ("layers must be a list of names, one at least", Prune(0.5), []),
                                 ("has no sparsity that could be another", Prune(pattern="2:4"), None),
                                 ("has no sparsity that could be another", Prune(threshold=0.1), None)):
        with pytest.raises(ValueError, match=error):
            uniform_sparsity(model, prune, layers=layers)
    with pytest.raises(ValueError, match="normalise must be one of size, rms, none; got 'l2'"):
        global_sparsity(model, Prune(0.5), normalise="l2")
    with pytest.raises(TypeError, match="prune must be a Prune"):
        uniform_sparsity(model, compress.Quantize())
    with pytest.raises(ValueError, match="no layer of this Linear has groups of the pattern 'filter'"):
        uniform_sparsity(nn.Linear(2, 3, rng=rng), Prune(0.5, pattern="filter"))
    compress.prepare(model, {"0": Prune(0.5)})
    with pytest.raises(ValueError, match=r"0.weight is prepared already"):
        uniform_sparsity(model, Prune(0.5))
