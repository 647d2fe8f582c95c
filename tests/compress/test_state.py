"""What a transform knows of a weight, as arrays and back: whatever it is built of, for every transform."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

import compress
import nn
from compress import Chain, Context
from compress.state import from_arrays, to_arrays


class Pair(NamedTuple):
    low: float
    high: float


@dataclass(frozen=True)
class Inner:
    scale: np.ndarray
    name: str = "kept"


@dataclass
class Outer:
    inner: Inner
    cores: list
    pair: Pair
    table: dict
    step: int
    on: bool
    perhaps: Any = None


def outer(seed):
    rng = np.random.default_rng(seed)
    return Outer(
        Inner(rng.normal(size=3).astype(np.float32)),
        [nn.Parameter(rng.normal(size=(2, 2)).astype(np.float32)), nn.Tensor(rng.integers(0, 9, 4))],
        Pair(float(rng.random()), float(rng.random())),
        {3: rng.random(2), "x": np.float32(rng.random())},
        int(rng.integers(100)),
        bool(seed % 2),
    )


def same(a, b):
    return a.keys() == b.keys() and all(
        (a[k].dtype, a[k].shape, a[k].tobytes()) == (b[k].dtype, b[k].shape, b[k].tobytes()) for k in a
    )


def test_whatever_a_state_is_built_of_comes_back():
    old, other = outer(0), outer(1)
    other.perhaps = np.arange(3)
    arrays = to_arrays(other)
    assert list(arrays) == [
        "inner.scale", "cores.0", "cores.1", "pair.0", "pair.1", "table.3", "table.x", "step", "on",
        "perhaps",
    ]  # fmt: skip
    new = from_arrays(old, arrays)
    assert same(to_arrays(new), arrays)
    assert type(new.pair) is Pair
    assert (type(new.step), type(new.on), new.inner.name) == (int, bool, "kept")
    assert list(new.table) == [3, "x"]
    assert new.perhaps.tolist() == [0, 1, 2]


def test_a_tensor_stays_the_object_that_an_optimizer_trains():
    old, other = outer(0), outer(1)
    cores = list(old.cores)
    new = from_arrays(old, to_arrays(other))
    assert new.cores[0] is cores[0]
    np.testing.assert_array_equal(cores[0].data, other.cores[0].data)


def test_arrays_are_copies_both_ways():
    old = outer(0)
    arrays = to_arrays(old)
    new = from_arrays(old, arrays)
    for array in arrays.values():
        assert not any(
            np.shares_memory(array, a) for a in (old.inner.scale, new.inner.scale, new.cores[0].data)
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.pop("step"), "lacks step"),
        (lambda arrays: arrays.update(more=np.zeros(1), extra=np.zeros(1)), "has no extra, more"),
        (
            lambda arrays: arrays.update({"inner.scale": np.zeros(4, np.float32)}),
            r"inner.scale must be float32\(3,\)",
        ),
        (
            lambda arrays: arrays.update({"cores.0": np.zeros((2, 2))}),
            r"cores.0 must be float32.*, got float64",
        ),
    ],
    ids=["missing", "unexpected", "shape", "dtype"],
)
def test_arrays_of_another_state_are_refused(change, message):
    arrays = to_arrays(outer(0))
    change(arrays)
    with pytest.raises(ValueError, match=message):
        from_arrays(outer(0), arrays)


def test_what_can_not_be_an_array_is_named():
    with pytest.raises(TypeError, match=r"0\.rule: a State holds arrays, Tensors and numbers; got function"):
        to_arrays(({"rule": lambda: 0},))


CHAINS = [
    [compress.Prune(0.5)],
    [compress.Prune(0.8, compress.Cubic(end=6, every=2))],
    [compress.Quantize()],
    [compress.Prune(0.8, compress.Cubic(end=6)), compress.Quantize()],
    [compress.Cluster(3)],
    [compress.Prune(0.5), compress.Cluster(2)],
    [compress.Prune(0.5, compress.Cubic(end=2)), compress.Cluster(2)],
    [compress.Prune(0.5, compress.Cubic(end=5)), compress.Cluster(2, "mean")],
]


@pytest.mark.parametrize("stages", CHAINS, ids=str)
def test_a_chain_goes_on_from_its_arrays(stages):
    """Trained for 3 steps, put into a chain that has seen none, and both trained for 4 more."""

    def attached():
        holder = nn.Module()
        p = holder.weight = nn.Parameter(np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32))
        Chain(stages).attach(p, Context())
        return p, nn.optim.SGD(p.trainables(), 0.1, momentum=0.9), holder

    def train(p, optimizer, steps):
        for step in steps:
            optimizer.zero_grad()
            (p.parametrized() * np.float32(step % 3 + 1)).sum().backward()
            optimizer.step()

    first, optimizer, holder = attached()
    train(first, optimizer, range(3))
    second, resumed, other = attached()
    other.load_state_dict(holder.state_dict())
    resumed.load_state_dict(optimizer.state_dict())
    assert same(second.parametrization.state_arrays(), first.parametrization.state_arrays())
    for p, how in ((first, optimizer), (second, resumed)):
        train(p, how, range(3, 7))
    assert first.parametrized().data.tobytes() == second.parametrized().data.tobytes()
    assert same(second.parametrization.state_arrays(), first.parametrization.state_arrays())


def test_a_chain_that_knows_nothing_yet_has_no_arrays():
    with pytest.raises(RuntimeError, match="has not been fitted"):
        Chain([compress.Quantize()]).state_arrays()
