"""Where an operation did not choose an entry, its derivative is 0, and a gradient of ∞ or NaN from above
leaves it so: 0·∞ would be NaN."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from compress import Prune
from compress.formats.straight_through import CLIPPED_STRAIGHT_THROUGH
from compress.techniques.prune import PruneState
from nn import functional as F
from nn.rules import RULES
from nn.rules.choices import SMALL, only, without
from nn.tensor import apply

inf, nan = np.inf, np.nan
CHOICE = np.array([[True, False, False], [False, True, True]])
X = [[-2.0, 0.0, 3.0], [1.0, -1.0, 0.5]]
PAIR = [[1.0, 0.0, 2.0], [1.0, 1.0, -1.0]]
SQUARE = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]
IMAGE = [[[[1.0, 5.0, 2.0, 2.0], [3.0, 4.0, 1.0, 0.0], [0.0, -1.0, 7.0, 8.0], [-2.0, -3.0, 9.0, 6.0]]]]

# function, inputs, and for each of them which entries take part, as 0 and 1.
CHOICES = {
    "relu": (F.relu, [X], [[[0, 0, 1], [1, 0, 1]]]),
    "leaky_relu of slope 0": (lambda x: F.leaky_relu(x, 0.0), [X], [[[0, 0, 1], [1, 0, 1]]]),
    "where": (lambda a, b: nn.where(CHOICE, a, b), [X, PAIR], [CHOICE, ~CHOICE]),
    "where, broadcast": (lambda a, b: nn.where(np.array([[True], [False]]), a, b), [X, PAIR],
                         [[[1, 1, 1], [0, 0, 0]], [[0, 0, 0], [1, 1, 1]]]),
    "masked_fill": (lambda x: x.masked_fill(CHOICE, -inf), [X], [~CHOICE]),
    "tril": (lambda x: x.tril(), [SQUARE], [np.tri(3)]),
    "triu": (lambda x: x.triu(1), [SQUARE], [np.tri(3).T - np.eye(3)]),
    "maximum": (nn.maximum, [X, PAIR], [[[0, 1, 1], [1, 0, 1]], [[1, 1, 0], [1, 1, 0]]]),
    "minimum": (nn.minimum, [X, PAIR], [[[1, 1, 0], [1, 1, 0]], [[0, 1, 1], [1, 0, 1]]]),
    "clamp": (lambda x: x.clamp(0, 1), [X], [[[0, 1, 0], [1, 0, 1]]]),
    "clamp from below": (lambda x: x.clamp(min=0), [X], [[[0, 1, 1], [1, 0, 1]]]),
    "clamp from above": (lambda x: x.clamp(max=0), [X], [[[1, 1, 0], [0, 1, 0]]]),
    "clamp by tensors": (lambda x, low, high: x.clamp(low, high), [X, np.zeros((2, 3)), np.ones((2, 3))],
                         [[[0, 1, 0], [1, 0, 1]], [[1, 0, 0], [0, 1, 0]], [[0, 0, 1], [0, 0, 0]]]),
    "clamp by crossed tensors": (lambda x, low, high: x.clamp(low, high),
                                 [[0.0, 2.0, 4.0], np.full(3, 3.0), np.ones(3)], [[0] * 3, [0] * 3, [1] * 3]),
    "max": (lambda x: x.max(), [X], [[[0, 0, 1], [0, 0, 0]]]),
    "amax": (lambda x: x.amax(1), [X], [[[0, 0, 1], [1, 0, 0]]]),
    "amin of ties": (lambda x: x.amin(1), [PAIR], [[[0, 1, 0], [0, 0, 1]]]),
    "abs": (lambda x: x.abs(), [X], [[[1, 0, 1], [1, 1, 1]]]),
    "l1": (lambda a, b: F.l1_loss(a, b, "none"), [X, PAIR], [[[1, 0, 1], [0, 1, 1]]] * 2),
    "std": (lambda x: x.std(1), [[[2.0, 2.0, 2.0], [1.0, 3.0, 5.0]]], [[[0, 0, 0], [1, 1, 1]]]),
    "power of 0": (lambda x: x**0, [X], [np.zeros((2, 3))]),
    "powers": (lambda x, e: x**e, [[0.0, 2.0, 0.0, 2.0], [0.0, 0.0, 1.0, 3.0]],
               [[0, 0, 1, 1], [0, 1, 0, 1]]),
    "diagonal": (lambda x: nn.einsum("ii->i", x), [SQUARE], [np.eye(3)]),
    "dropout": (lambda x: apply(RULES["dropout"], x, CHOICE, p=0.5), [X], [CHOICE]),
    "dropout of all": (lambda x: F.dropout(x, 1.0), [X], [np.zeros((2, 3))]),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2), [IMAGE],
                   [[[[[0, 1, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0]]]]]),
    "max_pool2d, overlapping": (lambda x: F.max_pool2d(x, 3, 2, 1), [IMAGE],
                                [[[[[0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]]]]]),
    "embedding": (lambda w: F.embedding(np.array([0, 1]), w, 1), [SQUARE], [[[1] * 3, [0] * 3, [0] * 3]]),
    "gather": (lambda x: x.gather(1, np.array([[2], [0]])), [X], [[[0, 0, 1], [1, 0, 0]]]),
    "a part": (lambda x: x[:, ::2], [X], [[[1, 0, 1], [1, 0, 1]]]),
    "a part, padded": (lambda x: F.pad(x, (2, -1)), [X], [[[1, 1, 0], [1, 1, 0]]]),
    "a class that does not count": (lambda x: F.nll_loss(x, np.array([2, -100]), reduction="none"), [X],
                                    [[[0, 0, 1], [0, 0, 0]]]),
    "a query that may look nowhere": (
        lambda q: F.scaled_dot_product_attention(q, np.eye(2, 3), np.eye(2), np.array([[True], [False]])),
        [X], [[[1, 1, 1], [0, 0, 0]]]),
    "clipped straight-through": (
        lambda x: apply(CLIPPED_STRAIGHT_THROUGH, x, nn.Tensor(np.ones((2, 3))), low=-1.5, high=0.75), [X],
        [[[0, 1, 0], [0, 1, 1]]]),
    "pruned": (lambda w: Prune(0.5).project(w, PruneState(CHOICE.astype(np.float32))), [X], [CHOICE]),
}  # fmt: skip
every_choice = pytest.mark.parametrize("name", CHOICES)


def leaves(inputs, dtype=np.float64):
    return [nn.Tensor(np.array(x, dtype), requires_grad=True) for x in inputs]


@every_choice
@pytest.mark.parametrize("above", [inf, -inf, nan])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_backward(name, above, dtype):
    function, inputs, parts = CHOICES[name]
    xs = leaves(inputs, dtype)
    y = function(*xs)
    with np.errstate(invalid="ignore"):
        y.backward(np.full(y.shape, above))
    for x, part in zip(xs, parts, strict=True):
        np.testing.assert_array_equal(x.grad[~np.array(part, bool)], 0)
        assert not np.isfinite(x.grad[np.array(part, bool)]).any()


@every_choice
@pytest.mark.parametrize("above", [inf, nan])
def test_backward_with_create_graph(name, above):
    function, inputs, parts = CHOICES[name]
    xs = leaves(inputs)
    y = function(*xs)
    with np.errstate(invalid="ignore"):
        grads = nn.grad(y, xs, np.full(y.shape, above), create_graph=True)
    for g, part in zip(grads, parts, strict=True):
        np.testing.assert_array_equal(g.data[~np.array(part, bool)], 0)


@every_choice
def test_forward_mode(name):
    """A tangent of ∞ where nothing depends on the entry does not come through."""
    function, inputs, parts = CHOICES[name]
    xs = [np.array(x, float) for x in inputs]
    tangents = tuple(np.where(np.array(part, bool), 1, inf) for part in parts)
    with np.errstate(invalid="ignore"):
        assert np.isfinite(nn.jvp(function, tuple(xs), tangents)[1].data).all()


def test_a_root_behind_a_clamp():
    x = nn.Tensor([-1.0, 4.0], requires_grad=True)
    with np.errstate(divide="ignore"):
        x.clamp(min=0).sqrt().sum().backward()
    np.testing.assert_array_equal(x.grad, [0, 0.25])


def test_a_dropped_infinity_is_0():
    y = apply(RULES["dropout"], nn.Tensor([inf, nan, 3.0]), np.array([False, False, True]), p=0.5)
    np.testing.assert_array_equal(y.data, [0, 0, 6])


@pytest.mark.parametrize(("x", "want"), [([0, 4, 0, 2], [0, 0, 0, 0]), ([0, 4, 2], [inf, 0, 0])])
def test_a_product_that_is_zero_whatever_one_of_its_factors_is(x, want):
    x = nn.Tensor(np.array(x, float), requires_grad=True)
    x.prod().backward(np.array(inf))
    np.testing.assert_array_equal(x.grad, want)


def test_the_extreme_of_nans_is_theirs():
    x = nn.Tensor(np.array([[1.0, nan, nan], [1.0, 2.0, 2.0]]), requires_grad=True)
    x.amax(1).backward(np.array([6.0, 6.0]))
    np.testing.assert_array_equal(x.grad, [[0, 3, 3], [0, 3, 3]])


@given(st.integers(0, 2**32 - 1), st.sampled_from("efdg"), st.sampled_from([0, 1, 10, SMALL, 2 * SMALL + 1]),
       st.sampled_from([(), (2,)]), st.integers(-2, 2))
def test_only_and_without_are_where(seed, code, n, more, step):
    rng = np.random.default_rng(seed)
    g = rng.choice(np.array([1, -2, 0.5, -0.0, inf, -inf, nan], code), (n, *more))[::step or 1]
    mask = rng.random((len(g), *((1,) if more and seed % 2 else more))) < 0.5
    zero = np.zeros((), code)
    for have, want in ((only(g, mask), np.where(mask, g, zero)), (without(g, mask), np.where(mask, zero, g))):
        assert have.dtype == g.dtype
        np.testing.assert_array_equal(have, want)
        np.testing.assert_array_equal(np.signbit(have), np.signbit(want))
        assert not np.shares_memory(have, g)


def test_only_and_without_take_one_number():
    for g in (np.float32(3), np.array(3.0)):
        for mask in (True, np.True_, np.array(True)):
            assert (only(g, mask), without(g, mask)) == (3, 0)
            assert only(g, mask).dtype == g.dtype
