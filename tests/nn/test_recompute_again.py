"""What f does the second time: the same random numbers, nothing counted twice, one result; and memory."""

import gc
import weakref

import numpy as np
import pytest

import nn
from nn import functional as F
from nn.context import ambient
from nn.recompute import split


def rng(seed=0):
    return np.random.default_rng(seed)


def leaf(*shape, seed=0, dtype=np.float32):
    return nn.Tensor(rng(seed).normal(size=shape).astype(dtype), requires_grad=True)


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


# Random numbers and side effects


def test_dropout_is_replayed_and_the_generator_goes_on_as_if_nothing_had_been_drawn():
    x = leaf(50, 40)
    masks = []

    def f(x):
        y = F.dropout(x, 0.4)
        masks.append(y.data != 0)
        return y * y

    nn.manual_seed(0)
    y = nn.checkpoint(f, x)
    between = nn.random.generator().random()
    y.sum().backward()
    after = nn.random.generator().random()
    assert same(masks[0], masks[1])
    np.testing.assert_array_equal(x.grad != 0, masks[0])
    nn.manual_seed(0)
    F.dropout(x, 0.4)
    assert [between, after] == list(nn.random.generator().random(2))


def test_a_new_seed_before_backward_changes_nothing():
    x = leaf(50, 40)
    nn.manual_seed(7)
    y = nn.checkpoint(F.dropout, x)
    nn.manual_seed(8)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad != 0, y.data != 0)
    assert nn.random.generator().random() == rng(8).random()


def test_an_f_that_seeds_leaves_the_generator_alone_when_it_runs_again():
    def f(x):
        nn.manual_seed(3)
        return F.dropout(x)

    y = nn.checkpoint(f, leaf(20))
    nn.manual_seed(8)
    y.sum().backward()
    assert nn.random.generator().random() == rng(8).random()


def test_dropout_is_replayed_where_nothing_was_ever_seeded(monkeypatch):
    monkeypatch.setattr(nn.random._LIBRARY, "generator", None)
    x = leaf(50)
    y = nn.checkpoint(F.dropout, x)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad != 0, y.data != 0)


def test_batch_norm_counts_a_batch_once():
    def twice(f, x):
        return nn.checkpoint(lambda x: nn.checkpoint(f, x), x)

    states = []
    for through in (lambda f, x: f(x), nn.checkpoint, twice):
        norm = nn.BatchNorm1d(4)
        y = through(norm, leaf(8, 4))
        y.sum().backward(retain_graph=True)
        y.sum().backward()
        states.append(norm.state_dict())
    for name, value in states[0].items():
        assert same(value, states[1][name])
        assert same(value, states[2][name])
    assert states[1]["num_batches_tracked"] == 1


# What it refuses


def test_another_result_the_second_time_is_an_error():
    private = rng()
    x = leaf(5)
    y = nn.checkpoint(lambda x: x * private.random(5).astype(np.float32), x)
    with pytest.raises(RuntimeError, match="<lambda> gave another result when backward ran it again"):
        y.sum().backward()
    assert x.grad is None


def test_another_mode_the_second_time_is_an_error():
    layer = nn.Dropout(0.5)
    y = nn.checkpoint(layer, leaf(50))
    layer.eval()
    with pytest.raises(RuntimeError, match=r"Dropout\(p=0.5\) gave another result.*train\(\) and eval\(\)"):
        y.sum().backward()


def test_another_graph_behind_the_same_numbers_is_an_error():
    a, b = leaf(5), leaf(5)
    pick = [a, b]
    y = nn.checkpoint(lambda x: x * pick.pop(), leaf(5, seed=2))
    with pytest.raises(RuntimeError, match="gave another result"):
        y.sum().backward()
    once = nn.checkpoint(lambda x: x * 2 if pick.append(0) or len(pick) == 1 else x.detach() * 2, a)
    with pytest.raises(RuntimeError, match="gave another result"):
        once.sum().backward()


def test_overwritten_inputs_and_parameters_are_errors():
    layer, x = nn.Linear(3, 3, rng=rng()), leaf(2, 3)
    for array in (x, layer.weight, layer.bias):
        y = nn.checkpoint(layer, x)
        with nn.no_grad():
            array += 1
        with pytest.raises(RuntimeError, match=r"checkpoint: .* that was overwritten"):
            y.sum().backward()


def test_an_error_of_f_in_backward_leaves_all_as_it_was():
    x, calls = leaf(3), []

    def f(x):
        calls.append(0)
        if len(calls) > 1:
            nn.random.generator().random()
            raise ZeroDivisionError
        return x * 2

    nn.manual_seed(0)
    y = nn.checkpoint(f, x)
    with pytest.raises(ZeroDivisionError):
        y.sum().backward()
    assert not ambient.context.replaying
    assert ambient.context.recording
    assert nn.random.generator().random() == rng(0).random()
    assert x.grad is None


# Sequences


def test_segments():
    assert [len(s) for s in split(list(range(100)))] == [10] * 10
    assert [len(s) for s in split(list(range(11)), 3)] == [3, 4, 4]
    assert [len(s) for s in split([1, 2])] == [2]
    assert [layer for part in split(list(range(17)), 5) for layer in part] == list(range(17))
    assert split([1, 2, 3], 3) == [[1], [2], [3]]


@pytest.mark.parametrize("wrong", [0, -1, 4, 1.5, True, "2"])
def test_wrong_segments_are_refused(wrong):
    with pytest.raises(ValueError, match=r"segments is .*, wanted an int from 1 to 3"):
        nn.checkpoint_sequential([F.relu] * 3, wrong, leaf(2))


def test_no_modules_are_refused():
    with pytest.raises(ValueError, match="from 1 to 0"):
        nn.checkpoint_sequential([], None, leaf(2))


@pytest.mark.parametrize("segments", [None, 1, 2, 3, 9])
def test_a_sequence_has_the_gradients_and_the_statistics_of_the_plain_one(segments):
    found = []
    for checkpointed in (False, True):
        blocks = ((nn.Linear(5, 5, rng=rng(i)), nn.BatchNorm1d(5), nn.Dropout(0.1)) for i in range(3))
        model = nn.Sequential(*(layer for block in blocks for layer in block))
        nn.manual_seed(0)
        x = nn.Tensor(rng().normal(size=(8, 5)).astype(np.float32))
        y = nn.checkpoint_sequential(model, segments, x) if checkpointed else model(x)
        (y * y).sum().backward()
        found.append([y.data, *(p.grad for p in model.parameters()), *model.state_dict().values()])
    assert all(map(same, *found))


# Memory


def test_no_reference_cycles_and_everything_is_freed_without_the_collector():
    gc.collect()
    gc.disable()
    try:
        layer, x = nn.Linear(4, 4, rng=rng()), leaf(3, 4)
        y = nn.checkpoint(lambda x: nn.checkpoint(layer, x * 2) * 3, x)
        nodes = [weakref.ref(y), weakref.ref(y.data)]
        y.sum().backward()
        del y
        assert [node() for node in nodes] == [None, None]
        y = nn.checkpoint(layer, x)    # and without a backward
        array = weakref.ref(y.data)
        del y
        assert array() is None
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_only_the_input_is_kept():
    """The arrays that f makes are gone when checkpoint returns, and again after backward."""
    made = []

    def f(x):
        for _ in range(5):
            x = x.exp().log()
            made.append(weakref.ref(x.data))
        return x

    x = leaf(100)
    y = nn.checkpoint(f, x)
    assert [array() is None for array in made] == [True] * 4 + [False]    # the last is y's
    y.sum().backward()
    assert [array() is None for array in made[5:]] == [True] * 5
