"""A frozen weight (requires_grad=False) stays so through a parametrization, and its schedules end all the
same."""

import numpy as np
import pytest

import compress
import nn
from compress import Cluster, Cubic, Prune, Quantize, TensorTrain

X = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
RECIPES = [
    Prune(0.5), Prune(0.5, Cubic(4)), Cluster(2), TensorTrain(rank=2), Quantize(), [Prune(0.5), Cluster(2)],
    [Prune(0.5, Cubic(4)), Cluster(2)], [Prune(0.5, Cubic(4)), Quantize()],
]  # fmt: skip
ALL, FILTERED = "all", "those that require a gradient"


def network():
    rng = np.random.default_rng(0)
    return nn.Sequential(nn.Linear(6, 8, rng=rng), nn.ReLU(), nn.Linear(8, 3, rng=rng))


def chosen(model, which):
    return [p for p in model.parameters() if which == ALL or p.requires_grad]


def train(model, optimizer, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        model(nn.Tensor(X)).sum().backward()
        optimizer.step()


def pruned(recipe, w):
    """What magnitude pruning alone makes of a weight."""
    first = recipe[0] if isinstance(recipe, list) else recipe
    if not isinstance(first, Prune):
        return w
    smallest = np.argsort(np.abs(w), axis=None, kind="stable")[: w.size // 2]
    w = w.copy()
    w.reshape(-1)[smallest] = 0
    return w


@pytest.mark.parametrize("which", [ALL, FILTERED])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_nothing_trains_in_its_place_and_it_converts(recipe, when, which):
    model = network()
    w = model[0].weight.data.copy()
    if when == "before":
        model[0].weight.requires_grad = False
    compress.prepare(model, recipe, X)
    model[0].weight.requires_grad = False
    assert not any(p.requires_grad for p in model[0].weight.trainables())
    assert all(p.requires_grad for p in model[2].weight.trainables())
    optimizer = nn.optim.AdamW(chosen(model, which), 0.05)
    train(model, optimizer, 4)
    first = model[0].weight.parametrized().data.copy()
    train(model, optimizer, 3)
    np.testing.assert_array_equal(model[0].weight.parametrized().data, first)
    scheduled = "Cubic" in str(recipe)
    if scheduled and (when, which) == ("after", FILTERED):
        with pytest.raises(ValueError, match=r"convert: 0\.weight: .*optimizer of all model.parameters\(\)"):
            compress.convert(model)
        train(model, nn.optim.AdamW(model.parameters(), 0.05), 4)
    wanted = compress.prepare(nn.Sequential(nn.Linear(6, 8)), Prune(0.0))  # a fresh one, of w as it began
    wanted[0].weight.data = pruned(recipe, w)
    last = recipe[-1] if isinstance(recipe, list) else recipe
    if not isinstance(last, Prune):
        wanted[0].weight.parametrization = None
        compress.prepare(wanted, last, X)
    np.testing.assert_array_equal(model[0].weight.parametrized().data, wanted[0].weight.parametrized().data)
    compress.convert(model)


@pytest.mark.parametrize("recipe", [RECIPES[2], RECIPES[3], RECIPES[6]], ids=str)
def test_it_trains_again_when_it_is_thawed(recipe):
    model = network()
    model[0].weight.requires_grad = False
    compress.prepare(model, recipe)
    optimizer = nn.optim.SGD(model.parameters(), 0.1)
    train(model, optimizer, 3)
    before = model[0].weight.parametrized().data.copy()
    model[0].weight.requires_grad = True
    train(model, optimizer, 1)
    assert (model[0].weight.parametrized().data != before).any()


def test_an_optimizer_that_counts_anew_takes_no_schedule_back():
    model = compress.prepare(network(), Prune(0.5, Cubic(4)))
    train(model, nn.optim.SGD(model.parameters(), 0.1), 4)
    masks = [layer.weight.parametrization.states[0].mask.copy() for layer in (model[0], model[2])]
    train(model, nn.optim.SGD(model.parameters(), 0.1), 2)
    for layer, mask in zip((model[0], model[2]), masks, strict=True):
        assert not (layer.weight.parametrization.states[0].mask > mask).any()
    compress.convert(model, X)


def test_a_prepare_that_is_refused_leaves_it_as_it_was():
    model = network()
    model[0].weight.requires_grad = False
    before = model[0].weight.data.copy()
    model[2].weight.data[...] = 1
    with pytest.raises(ValueError, match=r"2\.weight has 1 different values"):
        compress.prepare(model, {"0": Prune(0.5, Cubic(4)), "2": Cluster(2)})
    np.testing.assert_array_equal(model[0].weight.data, before)
    assert model[0].weight.parametrization is None
