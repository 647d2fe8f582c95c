"""What does nothing to a tensor: gradients pass through it like through any operation, of all orders."""

import numpy as np
import pytest

import nn
from nn import functional as F

NOTHING = {
    "the tensor itself": lambda x: x,
    "dropout of nothing": lambda x: F.dropout(x, 0),
    "dropout in evaluation": lambda x: F.dropout(x, 0.5, training=False),
    "Dropout": lambda x: nn.Dropout(0.5).eval()(x),
    "Identity": nn.Identity(),
    "Sequential": nn.Sequential(),
    "squeeze": lambda x: x.squeeze(),
    "squeeze of an axis": lambda x: x.squeeze(0),
    "unsqueeze and squeeze": lambda x: x.unsqueeze(1).squeeze(1),
    "reshape": lambda x: x.reshape(2, 3),
    "parametrization": lambda x: x.view(2, 3),
    "flatten": lambda x: x.flatten(1),
    "expand": lambda x: x.expand(2, 3),
    "expand by -1": lambda x: x.expand(-1, -1),
    "permute": lambda x: x.permute(0, 1),
    "movedim": lambda x: x.movedim(1, 1),
    "astype": lambda x: x.astype(x.dtype),
    "double": lambda x: x.double(),
    "clamp": lambda x: x.clamp(-99, None),
    "masked_fill": lambda x: x.masked_fill(np.zeros((2, 3), bool), 7),
    "tril": lambda x: x.tril(9),
    "all of it": lambda x: x[...],
    "cat": lambda x: nn.cat([x]),
    "stack": lambda x: nn.stack([x])[0],
    "split": lambda x: x.split(2)[0],
    "pad": lambda x: F.pad(x, (0, 0)),
    "plus 0": lambda x: x + 0,
    "times 1": lambda x: x * 1,
    "to the power of 1": lambda x: x**1,
    "matmul": lambda x: x @ np.eye(3),
    "pool": lambda x: F.max_pool2d(x.reshape(1, 1, 2, 3), 1).reshape(2, 3),
    "checkpoint": lambda x: nn.checkpoint(lambda t: t, x),
    "checkpoint of one operation": lambda x: nn.checkpoint(lambda t: t.reshape(2, 3), x),
}
X, G, V = np.random.default_rng(0).normal(size=(3, 2, 3))


def leaf(array):
    return nn.Tensor(array, requires_grad=True)


@pytest.mark.parametrize("f", NOTHING.values(), ids=NOTHING)
def test_the_gradient_leads_back_to_the_cotangent(f):
    x, g = leaf(X), leaf(G)
    (slope,) = nn.grad(f(x), x, g, create_graph=True)
    np.testing.assert_array_equal(slope.data, G)
    (back,) = nn.grad((slope * slope).sum(), g, create_graph=True)
    np.testing.assert_allclose(back.data, 2 * G)
    np.testing.assert_allclose(nn.grad(back.sum(), g)[0], 2)

    f(x).backward(g, create_graph=True)
    assert x.grad.data is not g.data
    np.testing.assert_allclose(nn.grad((x.grad**3).sum(), g)[0], 3 * G**2)
    x.grad = None


@pytest.mark.parametrize("f", NOTHING.values(), ids=NOTHING)
def test_the_gradient_carries_the_tangent_of_the_cotangent(f):
    x = leaf(X)
    slope, change = nn.jvp(lambda g: nn.grad(f(x), x, g, create_graph=True)[0], G, V)
    np.testing.assert_array_equal(slope.data, G)
    np.testing.assert_array_equal(change.data, V)
    value, change = nn.jvp(f, X, V)
    np.testing.assert_array_equal(value.data, X)
    np.testing.assert_array_equal(change.data, V)


def test_the_tangent_of_a_cotangent_goes_through_what_does_something():
    x = leaf(X)
    for f, factor in ((lambda t: t * 3, 3), (lambda t: t * t, 2 * X), (lambda t: t.exp(), np.exp(X))):
        _, change = nn.jvp(lambda g: nn.grad(f(x), x, g, create_graph=True)[0], G, V)    # noqa: B023
        np.testing.assert_allclose(change.data, factor * V)


@pytest.mark.parametrize("f", NOTHING.values(), ids=NOTHING)
def test_what_is_handed_out_is_nobody_elses(f):
    x, g = leaf(X), leaf(G)
    for create_graph in (False, True):
        (slope,) = nn.grad(f(x), x, g, create_graph=create_graph)
        array = slope.data if create_graph else slope
        array[...] = 0
        np.testing.assert_array_equal(g.data, G)


def test_dropout_of_nothing_makes_a_tensor_of_an_array():
    for how in ({"p": 0}, {"training": False}):
        assert isinstance(F.dropout(X, **how), nn.Tensor)
