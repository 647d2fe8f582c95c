"""The state of a prepared model: whoever takes it computes and trains on as the one that gave it."""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import compress
import nn
from compress import Cluster, Cubic, Prune, Quantize, TensorTrain
from compress.state import from_arrays, to_arrays
from nn import functional as F
from nn.parametrize import Parametrization

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(48, 6)).astype(np.float32), RNG.integers(0, 3, 48)

RECIPES = {
    "pruned": Prune(0.8),
    "pruning": Prune(0.8, Cubic(end=6)),
    "shared": Cluster(2),
    "shared by means": Cluster(2, "mean"),
    "train": TensorTrain(rank=2, cores=2),
    "int8": Quantize(),
    "pruning, int8": [Prune(0.5, Cubic(end=6)), Quantize()],
    "pruning, shared": [Prune(0.5, Cubic(end=6)), Cluster(2)],
    "each its own": {"0": TensorTrain(rank=2, cores=2), "2": [Prune(0.5), Cluster(2)], "4": Quantize()},
}


def prepared(recipe, seed=0, example=X):
    rng = np.random.default_rng(seed)
    first, second, third = (nn.Linear(*size, rng=rng) for size in ((6, 8), (8, 8), (8, 3)))
    model = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third)
    return model if recipe is None else compress.prepare(model, recipe, example)


def train(model, optimizer, steps):
    model.train()
    for step in steps:
        rows = slice(step % 3 * 16, step % 3 * 16 + 16)
        optimizer.zero_grad()
        F.cross_entropy(model(nn.Tensor(X[rows])), Y[rows]).backward()
        optimizer.step()


def adam(model):
    return nn.optim.Adam(model.parameters(), 0.02)


def same(a, b):
    """Both compute the same bits, and have the same state."""
    with nn.no_grad():
        assert a.eval()(nn.Tensor(X)).data.tobytes() == b.eval()(nn.Tensor(X)).data.tobytes()
    a, b = a.state_dict(), b.state_dict()
    assert a.keys() == b.keys()
    assert all(a[name].tobytes() == b[name].tobytes() for name in a)


@pytest.mark.parametrize("steps", [0, 3, 9])
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_another_model_that_takes_the_state_is_the_first(recipe, steps, tmp_path):
    """From a file, before or after the schedules ended, whatever it has trained itself; then both go on."""
    a = prepared(recipe)
    how = adam(a)
    train(a, how, range(steps))
    nn.save(a, tmp_path / "state")
    for before in (0, 4, 8):
        b = prepared(recipe, seed=1, example=X[:20])
        other = adam(b)
        train(b, other, range(before))
        assert b.load_state_dict(nn.load(tmp_path / "state")) == ([], [])
        other.load_state_dict(how.state_dict())
        same(a, b)
    late = adam(b)  # built once the state is there
    late.load_state_dict(how.state_dict())
    c, third = copy.deepcopy((b, late))
    for model, optimizer in ((a, how), (b, other), (c, third)):
        train(model, optimizer, range(steps, steps + 8))
    same(a, b)
    same(a, c)
    programs = compress.convert(a), compress.convert(b)
    assert str(programs[0]) == str(programs[1])
    assert programs[0](X).tobytes() == programs[1](X).tobytes()


@pytest.mark.parametrize(("kept", "then"), [(0, 9), (3, 9), (9, 3)])
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_the_best_state_of_a_model_comes_back(recipe, kept, then):
    """Also when a schedule has ended since, or had at that time: the optimizer goes on with what trains."""
    best, model = prepared(recipe), prepared(recipe)
    train(best, adam(best), range(kept))
    optimizer = adam(model)
    train(model, optimizer, range(then))
    model.load_state_dict(best.state_dict())
    same(model, best)
    train(model, optimizer, range(then, 20))
    compress.convert(model)


def test_the_names():
    model = prepared({"0": [Prune(0.5), Cluster(2)], "4": Quantize()})
    names = [name for name in model.state_dict() if not name.startswith("parametrization.")]
    assert names == [
        "0.weight", "0.weight.parametrization.0.mask", "0.weight.parametrization.0.step",
        *(f"0.weight.parametrization.1.{name}" for name in
          ("begin", "centroids", "codes", "rates", "zero", "shares", "error", "pruned")),
        "0.bias", "2.weight", "2.bias", "4.weight", "4.weight.parametrization.0.scale", "4.bias",
    ]  # fmt: skip
    assert model.state_dict()["parametrization.x.0"] == X.min()
    inner = nn.Sequential({"body": model})
    assert "body.parametrization.x.1" in inner.state_dict()
    same(inner, inner)


# What does not fit


MISFITS = {
    "no recipe here": (Prune(0.5), None, r"unexpected: 0\.weight\.parametrization\.\(0\.mask, 0\.step\)"),
    "no recipe there": (None, Prune(0.5), r"missing: 0\.weight\.parametrization\.\(0\.mask, .*before the"),
    "plain, shared": (None, Cluster(2), r"missing: 0\.weight\.parametrization\.\(0\.begin.*before the"),
    "fewer layers": ({"0": Prune(0.5)}, Prune(0.5), r"missing: 2\.weight\.parametrization\.\(0\.mask"),
    "technique": (Prune(0.5), Quantize(), r"0\.weight\.parametrization: .* lacks 0\.scale"),
    "stage": ([Prune(0.5), Quantize()], Prune(0.5), r"parametrization: .* has no 1\.scale"),
    "sparsity": (Prune(0.5), Prune(0.75), r"the mask prunes 24 weights at step 0, where Prune.* prunes 36"),
    "schedule": (Prune(0.5), Prune(0.5, Cubic(9)), r"the mask prunes 24 weights .* prunes 0"),
    "bits": (Cluster(2), Cluster(3), r"0\.centroids must be float32\(8,\), got float32\(4,\)"),
    "ranks": (TensorTrain(rank=2), TensorTrain(rank=3), r"0\.cores\.0 must be float32"),
    "when": ([Prune(0.0, Cubic(5)), Cluster(2)], [Prune(0.0, Cubic(9)), Cluster(2)], "optimizer step 5 on"),
    "gradient": (Cluster(2, "mean"), Cluster(2), "not trained by the sum of their gradients"),
    "ranges": ({"0": Quantize()}, {"0": Prune(0.5)}, r"unexpected: parametrization\.\(x\.0"),
}  # fmt: skip


@pytest.mark.parametrize("misfit", MISFITS)
def test_a_state_of_another_recipe_is_refused_and_nothing_is_changed(misfit):
    there, here, message = MISFITS[misfit]
    model, state = prepared(here), prepared(there, seed=1).state_dict()
    before = model.state_dict()
    with pytest.raises(ValueError, match=f"(?s)does not fit Sequential: .*{message}") as raised:
        model.load_state_dict(state)
    assert "prepare" in str(raised.value)
    after = model.state_dict()
    assert all(after[name].tobytes() == before[name].tobytes() for name in before)


@pytest.mark.parametrize(
    ("key", "value", "error", "message"),
    [
        ("0.mask", np.full((8, 6), 0.5, np.float32), ValueError, "the mask prunes 0"),
        ("0.mask", np.ones((8, 6)), ValueError, r"0.mask must be float32\(8, 6\), got float64"),
        ("0.step", np.zeros(2, np.int64), ValueError, "0.step must be one number like 0"),
        ("0.step", np.array(True), ValueError, "0.step must be one number like 0"),
        ("0.step", 7, TypeError, r"0\.weight\.parametrization\.0\.step must be an array, got int"),
        ("1.codes", np.full((8, 6), 4, np.uint8), ValueError, "a code is beyond the 4 values"),
        ("1.shares", np.array(1.0), ValueError, "1.shares must be one number like True"),
    ],
)
def test_damage_is_found_before_anything_is_written(key, value, error, message):
    recipe = [Prune(0.5), Cluster(2)]
    model, state = prepared(recipe), prepared(recipe, seed=1).state_dict()
    state[f"0.weight.parametrization.{key}"] = value
    before = model.state_dict()
    with pytest.raises(error, match=message):
        model.load_state_dict(state)
    assert all(model.state_dict()[name].tobytes() == before[name].tobytes() for name in before)


def test_passing_over_names_passes_over_whole_views():
    state = prepared({"0": Prune(0.5), "4": Prune(0.5)}, seed=1).state_dict()
    model = prepared({"0": Prune(0.5), "2": Cluster(2)})
    shared = model.state_dict()["2.weight"]
    missing, unexpected = model.load_state_dict(state, strict=False)
    names = ("begin", "centroids", "codes", "rates", "zero", "shares", "error", "pruned")
    assert missing == [f"2.weight.parametrization.0.{name}" for name in names]
    assert unexpected == [
        "4.weight.parametrization.0.mask", "4.weight.parametrization.0.step", "2.weight"
    ]  # fmt: skip
    after = model.state_dict()
    np.testing.assert_array_equal(after["2.weight"], shared)  # its values were not in the state
    for name in ("0.weight", "0.weight.parametrization.0.mask", "2.bias", "4.weight"):
        np.testing.assert_array_equal(after[name], state[name])


def test_a_view_that_can_not_say_what_it_knows_is_named():
    class Silent(Parametrization):
        def __init__(self):
            self.seen = 0

    model = prepared(None)
    model[2].weight.parametrization = Silent()
    with pytest.raises(TypeError, match=r"2\.weight\.parametrization: Silent has the attributes seen"):
        model.state_dict()


@dataclass
class Perhaps:
    step: int
    found: Any = None


def test_what_is_not_there_yet_has_no_array_either_way():
    nothing, something = Perhaps(1), Perhaps(2, np.arange(3))
    assert from_arrays(nothing, to_arrays(something)).found.tolist() == [0, 1, 2]
    assert from_arrays(something, to_arrays(nothing)).found is None
    with pytest.raises(ValueError, match="lacks step"):
        from_arrays(nothing, {"found": np.arange(3)})


def test_a_killed_run_goes_on_with_views_and_averages(tmp_path):
    def run(stop=None, **how):
        model = prepared([Prune(0.5, Cubic(end=5)), Cluster(2)])
        average = nn.optim.AveragedModel(model, 0.8)

        def until(step, loss):
            if step == stop:
                raise KeyboardInterrupt

        try:
            nn.train.fit(model, X, Y, epochs=4, batch_size=16, optimizer=adam(model), average=average,
                         rng=np.random.default_rng(1), progress=False, on_step=until, **how)
        except KeyboardInterrupt:
            return None
        with average.applied():
            return copy.deepcopy(model)

    whole = run()
    for stop in (4, 8):
        assert run(stop, checkpoint=tmp_path / str(stop), every=2) is None
        same(run(checkpoint=tmp_path / str(stop), every=2), whole)
