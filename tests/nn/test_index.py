"""Indices: whatever NumPy takes as an array is one, so an entry picked twice gets both gradients."""

import array
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from nn import functional as F

X = np.random.default_rng(0).normal(size=(3, 4))


class Array:
    """Not an array, but it can become one."""

    def __init__(self, values):
        self.values = np.asarray(values)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype)


class Integer:
    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value


# One list of integers in every form. (A bare tuple is an index for each axis: those stand in another tuple.)
FORMS = {
    "list": list, "array": np.array, "int8": lambda i: np.array(i, np.int8), "Tensor": lambda i: nn.Tensor(i),
    "deque": deque, "array.array": lambda i: array.array("l", i), "bytearray": bytearray,
    "memoryview": lambda i: memoryview(np.array(i)), "__array__": Array,
    "list of NumPy's": lambda i: list(np.array(i)), "list of Tensors": lambda i: list(map(nn.Tensor, i)),
    "tuple in a tuple": lambda i: (tuple(i),), "list in a tuple": lambda i: (list(i),),
    "memoryview in a tuple": lambda i: (memoryview(np.array(i)),),
    "__array__ in a tuple": lambda i: (Array(i),),
    "beside an Ellipsis": lambda i: (tuple(i), ...), "beside a slice": lambda i: (tuple(i), slice(None)),
}  # fmt: skip


def agrees(x, index, plain):
    """x[index] in all modes, where NumPy would say x[plain]."""
    picked = np.arange(x.size).reshape(x.shape)[plain]    # the number of each entry that is picked
    rng = np.random.default_rng(1)
    g, v = rng.normal(size=picked.shape), rng.normal(size=x.shape)
    leaf, cotangent = nn.Tensor(x, requires_grad=True), nn.Tensor(g, requires_grad=True)
    y = leaf[index]
    np.testing.assert_array_equal(y.data, x[plain])
    want = np.zeros(x.size)
    for place, part in zip(picked.ravel(), g.ravel(), strict=True):
        want[place] += part
    np.testing.assert_allclose(nn.grad(y, leaf, g, retain_graph=True)[0], want.reshape(x.shape))
    (slope,) = nn.grad(y, leaf, cotangent, create_graph=True)
    np.testing.assert_allclose(slope.data, want.reshape(x.shape))
    np.testing.assert_allclose(nn.grad((slope * v).sum(), cotangent)[0], v[plain])
    value, change = nn.jvp(lambda t: t[index], x, v)
    np.testing.assert_array_equal(value.data, x[plain])
    np.testing.assert_array_equal(change.data, v[plain])
    written, filled = nn.Tensor(x), x.copy()
    written[index] = 7.0
    filled[plain] = 7.0
    np.testing.assert_array_equal(written.data, filled)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("indices", [[0, 0, 1], [2, 2, 2, 2], [1]], ids=str)
def test_a_list_of_integers_in_every_form(form, indices):
    agrees(X, form(indices), np.array(indices))


def test_the_issue_of_equal_rows():
    x = nn.Tensor([1.0, 2.0, 3.0], requires_grad=True)
    x[(0, 0, 1),].sum().backward()
    assert x.grad.tolist() == [2, 1, 0]
    pairs = [(0, 1), (2, 3), (0, 1)]
    rows, cols = zip(*pairs, strict=True)
    x = nn.Tensor(X, requires_grad=True)
    x[rows, cols].sum().backward()
    assert x.grad[0, 1] == 2
    assert x.grad.sum() == 3


MIXTURES = [
    (((0, 0), (1, 1)), (np.array([0, 0]), np.array([1, 1]))),
    ((range(2), range(2)), (np.arange(2), np.arange(2))),
    (((0, 0), None), (np.array([0, 0]), None)),
    ((..., (1, 1, 3)), (..., np.array([1, 1, 3]))),
    ((Integer(1), (1, 1)), (1, np.array([1, 1]))),
    ((nn.Tensor(1), [3, 3]), (1, np.array([3, 3]))),
    ((np.int8(-1), slice(Integer(1), nn.Tensor(3), np.int64(1))), (-1, slice(1, 3, 1))),
    ([[0, 0], [1, 0]], np.array([[0, 0], [1, 0]])),
    ((((0, 0), (1, 0)), 1), (np.array([[0, 0], [1, 0]]), 1)),
    ((((0,), (0,)), (1, 1)), (np.array([[0], [0]]), np.array([1, 1]))),
    ([True, False, True], np.array([True, False, True])),
    (((True, False, True), (0, 0)), (np.array([True, False, True]), np.array([0, 0]))),
    (True, True), (False, False), (np.True_, True), ((True, (0, 0)), (True, np.array([0, 0]))),
    (nn.Tensor(X > 0), X > 0), ((X > 0).tolist(), X > 0), (Array(X > 0), X > 0),
    ([], np.zeros(0, int)), ((), ()), (([],), np.zeros(0, int)), ([[]], np.zeros((1, 0), int)),
    ((slice(None), []), (slice(None), np.zeros(0, int))), (range(0), np.zeros(0, int)),
    (deque(), np.zeros(0, int)), (((), ()), (np.zeros(0, int), np.zeros(0, int))),
    (np.zeros(0, int), np.zeros(0, int)),
]  # fmt: skip


@pytest.mark.parametrize(("index", "plain"), MIXTURES, ids=map(str, range(len(MIXTURES))))
def test_mixtures(index, plain):
    agrees(X, index, plain)


@given(st.data())
def test_a_part_for_each_axis_in_forms_drawn(data):
    shape = data.draw(st.sampled_from([(3,), (3, 4), (2, 3, 4)]))
    x, length = np.random.default_rng(2).normal(size=shape), data.draw(st.integers(0, 4))
    index, plain = [], []
    for n in shape[:data.draw(st.integers(1, len(shape)))]:
        indices = data.draw(st.lists(st.integers(0, n - 1), min_size=length, max_size=length))
        form = data.draw(st.sampled_from([tuple, *list(FORMS.values())[:10]]))
        index.append(form(indices) if length or form not in (bytearray,) else [])
        plain.append(np.array(indices, int))
    agrees(x, tuple(index), tuple(plain))


def test_an_index_that_changes_later_is_the_one_it_was():
    indices, bound = np.array([0, 0, 1]), np.array(2)
    for index in (indices, memoryview(indices), Array(indices), (indices,), nn.Tensor(indices), slice(bound)):
        x = nn.Tensor([1.0, 2.0, 3.0], requires_grad=True)
        y = x[index]
        (index.data if isinstance(index, nn.Tensor) else indices)[:] = 2
        bound[...] = 1
        y.sum().backward()
        assert x.grad.tolist() == ([1, 1, 0] if isinstance(index, slice) else [2, 1, 0])
        indices[:], bound[...] = [0, 0, 1], 2


WRONG = [
    "a", 1.0, [0.5], {0}, [0, None], [slice(1)], ([0, 1], [0, 1, 2]), ([0.0],), 3, [3], (0, 0, 0),
    nn.Tensor([]), nn.Tensor([1.0]), np.zeros(0), [True], object(), b"a", [[0, 1], [0]], slice(0.5),
    slice("a"), ([0], "a"),
    slice(None, None, 0), (..., ...), 2**70,
]  # fmt: skip


@pytest.mark.parametrize("index", WRONG, ids=map(str, range(len(WRONG))))
def test_what_is_no_index_is_refused_by_name(index):
    with pytest.raises((TypeError, ValueError, IndexError), match=r"^index: "):
        nn.Tensor(X)[index]
    x = nn.Tensor(X)
    with pytest.raises((TypeError, ValueError, IndexError)):
        x[index] = 1.0
    np.testing.assert_array_equal(x.data, X)


# The functions that look up by integers take them in the same forms.

LISTS = {name: form for name, form in FORMS.items() if "tuple" not in name and "beside" not in name}
LISTS |= {"tuple": tuple}


@pytest.mark.parametrize("form", LISTS.values(), ids=LISTS)
def test_functions_that_look_up_take_every_form(form):
    index = form([0, 0, 2])
    for y, counts in (
        (lambda x: x.index_select(0, index), [[2] * 4, [0] * 4, [1] * 4]),
        (lambda x: x[:, 1].gather(0, index), [[0, 2, 0, 0], [0] * 4, [0, 1, 0, 0]]),
        (lambda x: F.gather(x[:, 1], 0, index), [[0, 2, 0, 0], [0] * 4, [0, 1, 0, 0]]),
        (lambda x: F.embedding(index, x), [[2] * 4, [0] * 4, [1] * 4]),
        (lambda x: nn.Tensor(np.zeros(3)).scatter_add(0, index, x[:, 0]), [[1, 0, 0, 0]] * 3),
        (lambda x: -F.nll_loss(x, index, reduction="sum"), [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0]]),
    ):
        x = nn.Tensor(X, requires_grad=True)
        y(x).sum().backward()
        np.testing.assert_array_equal(x.grad, counts)
        _, change = nn.jvp(lambda x: y(x).sum(), X, np.ones_like(X))    # noqa: B023
        assert change.item() == np.sum(counts)
    want = F.cross_entropy(X, np.array([0, 0, 2]))
    assert F.cross_entropy(X, index).item() == want.item()
    layer = nn.Embedding(3, 4)
    np.testing.assert_array_equal(layer(index).data, layer.weight.data[[0, 0, 2]])
    np.testing.assert_array_equal(F.one_hot(index).data, np.eye(3)[[0, 0, 2]])


def test_nothing_to_look_up():
    x = nn.Tensor(X, requires_grad=True)
    for nothing in ([], (), range(0), np.zeros(0, int), nn.Tensor(np.zeros(0, int))):
        for y in (x.index_select(0, nothing), F.embedding(nothing, x), x[:, 0].gather(0, nothing)):
            assert y.shape[0] == 0
            assert not nn.grad(y.sum(), x)[0].any()
