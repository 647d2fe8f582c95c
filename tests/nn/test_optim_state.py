"""States that do not fit an optimizer, or an average of weights: refused whole."""

import gc
import weakref

import numpy as np
import pytest

import nn
from nn.optim import SGD, Adam, AdamW, AveragedModel
from nn.parameter import Parameter


def changes(optimizer, state):
    """What differs in a state_dict after `state` was refused."""
    before = optimizer.state_dict()
    with pytest.raises(ValueError, match=r"the state does not fit: ") as refused:
        optimizer.load_state_dict(state)
    after = optimizer.state_dict()
    assert before.keys() == after.keys()
    return str(refused.value), [key for key in before if not np.array_equal(before[key], after[key])]


SIZES = [(1, 2), (2, 1), (3,), (1, 1, 1), (3, 0), (0, 3)]


@pytest.mark.parametrize("kind", [Adam, AdamW, SGD, lambda groups: SGD(groups, momentum=0.9)],
                         ids=["Adam", "AdamW", "SGD", "momentum"])
@pytest.mark.parametrize("there", SIZES, ids=str)
@pytest.mark.parametrize("here", SIZES, ids=str)
def test_groups_of_other_sizes_do_not_load(kind, there, here):
    """All parameters alike, so that nothing but the sizes of the groups tells one from another."""
    def build(sizes):
        return kind([{"params": [Parameter(np.ones(3)) for _ in range(n)], "lr": 0.5**i}
                     for i, n in enumerate(sizes)])

    if here == there:
        build(here).load_state_dict(build(there).state_dict())
        return
    message, changed = changes(build(here), build(there).state_dict())
    assert not changed
    if len(here) == len(there):
        assert f"its groups have {list(there)} parameters, those here {list(here)}" in message


@pytest.mark.parametrize(("key", "value", "why"), [
    ("lr.1", -1.0, "group 1: Adam: lr must be >= 0"), ("eps", 0.0, "group 0: Adam: eps must be > 0"),
    ("betas.1", [0.9, 1.0], "group 1: Adam: betas"), ("weight_decay", np.inf, "weight_decay is inf"),
    ("steps", -1, "steps is -1"), ("counts", [0, 0, -3], "counts is"),
    ("groups", [2.0, 1.0], "groups is int64"),
    ("exp_avg.2", 1j * np.ones(3), "exp_avg.2 is float64"), ("lr", "fast", "lr is float64"),
])  # fmt: skip
def test_a_state_with_values_that_no_optimizer_has_does_not_load(key, value, why):
    optimizer = Adam([{"params": [Parameter(np.ones(3)) for _ in range(n)]} for n in (2, 1)])
    message, changed = changes(optimizer, {**optimizer.state_dict(), key: np.array(value)})
    assert why in message
    assert not changed


def test_a_state_is_a_dict():
    for wrong in (None, 5, [1], "state"):
        with pytest.raises(TypeError, match="Adam: the state must be a dict of arrays, got"):
            Adam([Parameter(np.ones(3))]).load_state_dict(wrong)


@pytest.mark.parametrize("wrong", [{"n_averaged": np.array(-1)}, {"average.0": 1j * np.ones((2, 3))},
                                   {"average.1": np.array(["a", "b"])}, {"n_averaged": np.array(0.5)}],
                         ids=["negative", "complex", "text", "fraction"])
def test_the_state_of_an_average_is_refused_whole(wrong):
    average = AveragedModel(nn.Linear(3, 2))
    before = average.state_dict()
    with pytest.raises(ValueError, match=f"does not fit: {next(iter(wrong))} is"):
        average.load_state_dict({**{key: array + 1 for key, array in before.items()}, **wrong})
    after = average.state_dict()
    assert all(np.array_equal(before[key], after[key]) for key in before)


def test_an_optimizer_that_nobody_needs_is_freed_at_once_and_a_look_adds_nothing_to_its_state():
    model = nn.Linear(2, 2)
    plain, adam = nn.optim.SGD(model.parameters(), lr=0.1), nn.optim.Adam(model.parameters())
    assert list(plain.state) == []
    assert list(adam.state) == ["exp_avg", "exp_avg_sq"]
    with pytest.raises(KeyError):
        plain.state["typo"]
    gone = weakref.ref(adam)
    gc.disable()
    try:
        del adam
        assert gone() is None
    finally:
        gc.enable()
