"""Far from 0, at ties, at ±∞ and where nothing is: what PyTorch answers (2.13), and no warning on the way."""

import numpy as np
import pytest

import nn
from nn import functional as F

inf, nan, attention = np.inf, np.nan, F.scaled_dot_product_attention


def run(function, *inputs):
    """(output, gradients) of the sum, all warnings being errors."""
    tensors = [nn.Tensor(np.array(x, float), requires_grad=True) for x in inputs]
    y = function(*tensors)
    y.sum().backward()
    return y.data, *(t.grad for t in tensors)


@pytest.mark.parametrize(
    ("function", "x", "y", "dx"),
    [
        (F.sigmoid, [-1000, -40, 0, 1000, -inf, inf], [0, 4.248354255291589e-18, 0.5, 1, 0, 1],
         [0, 4.248354255291589e-18, 0.25, 0, 0, 0]),
        (F.logsigmoid, [-1000, 0, 1000, -inf, inf], [-1000, -0.6931471805599453, 0, -inf, 0],
         [1, 0.5, 0, 1, 0]),
        (F.softplus, [-1000, 0, 19.9, 20.1, 1000], [0, 0.6931471805599453, 19.899999997722, 20.1, 1000],
         [0, 0.5, 0.999999997722, 1, 1]),
        (F.silu, [-1000, 0, 1000], [0, 0, 1000], [0, 0.5, 1]),
        (F.gelu, [-1000, 0, 1000], [0, 0, 1000], [0, 0.5, 1]),
        (lambda x: F.gelu(x, "tanh"), [-1000, 0, 1000], [0, 0, 1000], [0, 0.5, 1]),
        (F.tanh, [-1000, 0, 1000, inf], [-1, 0, 1, 1], [0, 1, 0, 0]),
        (nn.Tensor.erf, [-inf, -1000, 0, 6, inf], [-1, -1, 0, 1, 1],
         [0, 0, 1.1283791670955126, 2.6173e-16, 0]),
        (lambda x: F.leaky_relu(x, 0.1), [-1, 0, 1], [-0.1, 0, 1], [0.1, 0.1, 1]),
        (nn.Tensor.abs, [-2, 0, 3], [2, 0, 3], [-1, 0, 1]),
        (lambda x: x.clamp(0, 1), [-1, 0, 0.5, 1, 2, nan], [0, 0, 0.5, 1, 1, nan], [0, 1, 1, 1, 0, 0]),
        (lambda x: x.clamp(2, 1), [-1, 1.5, 3], [1, 1, 1], [0, 0, 0]),
        (nn.Tensor.std, [1, 1, 1], 0, [0, 0, 0]),
        (nn.Tensor.prod, [0, 2, 3], 0, [6, 0, 0]),
        (nn.Tensor.prod, [0, 0, 3], 0, [0, 0, 0]),
        (lambda x: x.logsumexp(0), [-inf, -inf], -inf, [nan, nan]),
        (lambda x: x.logsumexp(0), [-inf, 1], 1, [0, 1]),
        (lambda x: x.logsumexp(0), [inf, 1], inf, [nan, 0]),
        (lambda x: x.logsumexp(0), [inf, -inf], inf, [nan, 0]),
        (lambda x: x.logsumexp(0), [1000, 1000], 1000.6931471805599, [0.5, 0.5]),
        (lambda x: x.softmax(0), [-inf, -inf], [nan, nan], [nan, nan]),
        (lambda x: x.softmax(0), [-inf, 1], [0, 1], [0, 0]),
        (lambda x: x.log_softmax(0), [-inf, 1], [-inf, 0], [1, -1]),
    ],
)  # fmt: skip
def test_of_one_input(function, x, y, dx):
    have, grad = run(function, x)
    np.testing.assert_allclose(have, y, rtol=1e-9)
    np.testing.assert_allclose(grad, dx, rtol=1e-4, atol=1e-300)


@pytest.mark.parametrize(
    ("function", "a", "b", "y", "da", "db"),
    [
        (nn.maximum, [1, nan, 2, 0], [1, 2, 1, nan], [1, nan, 2, nan], [0.5, 1, 1, 1], [0.5, 1, 0, 1]),
        (nn.minimum, [1, 3, 2], [1, 2, 5], [1, 2, 2], [0.5, 0, 1], [0.5, 1, 0]),
        (lambda x, t: F.l1_loss(x, t, "none"), [1, 2], [1, 1], [0, 1], [0, 1], [0, -1]),
        (lambda x, t: F.kl_div(x, t, "none"), [-1, -2, -inf], [0, 0.5, 0.5], [0, 0.65342641, inf],
         [0, -0.5, -0.5], [-inf, 2.30685282, inf]),
        (lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction="none"),
         [1000, -1000, 0], [0, 1, 0.3], [1000, 1000, 0.69314718], [1, -1, 0.2], [-1000, 1000, 0]),
        (lambda a, b: a ** b, [0, 0, 0, 2], [0, 1, 2, 0], [1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0.69314718]),
    ],
    ids=["maximum", "minimum", "l1", "kl", "bce", "pow"],
)  # fmt: skip
def test_of_two_inputs(function, a, b, y, da, db):
    have, of_a, of_b = run(function, a, b)
    np.testing.assert_allclose(have, y, rtol=1e-7)
    np.testing.assert_allclose(of_a, da, rtol=1e-7)
    np.testing.assert_allclose(of_b, db, rtol=1e-7)


@pytest.mark.parametrize("mask", [np.array([[True, True], [False, False]]), np.array([[0, 0], [-inf, -inf]])])
def test_a_query_that_may_look_nowhere_gets_0_and_sends_0(mask):
    rng = np.random.default_rng(0)
    q, k, v = (nn.Tensor(rng.normal(size=(2, 3)), requires_grad=True) for _ in range(3))
    y = F.scaled_dot_product_attention(q, k, v, mask)
    np.testing.assert_array_equal(y.data[1], 0)
    y.sum().backward()
    np.testing.assert_array_equal(q.grad[1], 0)
    assert np.isfinite(k.grad).all()
    assert np.isfinite(v.grad).all()


def test_a_loss_to_which_no_example_counts():
    x = nn.Tensor(np.ones((2, 3)), requires_grad=True)
    loss = F.cross_entropy(x, np.array([-100, -100]))
    loss.backward()
    assert np.isnan(loss.item())
    np.testing.assert_array_equal(x.grad, 0)
    assert F.cross_entropy(x, np.array([-100, -100]), reduction="sum").item() == 0


def test_a_loss_of_minus_infinity_that_does_not_count():
    x = nn.Tensor(np.array([[0.0, -inf], [-inf, 0.0]]), requires_grad=True)
    loss = F.nll_loss(x, np.array([0, -100]))
    loss.backward()
    assert loss.item() == 0
    np.testing.assert_array_equal(x.grad, [[-1, 0], [0, 0]])


def test_empty_batches_go_through():
    empty = np.zeros((0, 3), np.float32)
    w = nn.Tensor(np.ones(3, np.float32), requires_grad=True)
    F.layer_norm(empty, (3,), w, w).sum().backward()
    np.testing.assert_array_equal(w.grad, 0)
    for y, shape in (
        (F.softmax(empty), (0, 3)),
        (F.gelu(empty), (0, 3)),
        (nn.einsum("ij,kj->ik", empty, np.ones((2, 3), np.float32)), (0, 2)),
        (F.embedding(np.zeros((0,), int), np.ones((4, 2))), (0, 2)),
        (F.conv_transpose2d(np.zeros((0, 2, 3, 3)), np.ones((2, 1, 2, 2))), (0, 1, 4, 4)),
        (F.adaptive_avg_pool2d(np.zeros((0, 2, 3, 3)), 2), (0, 2, 2, 2)),
        (F.group_norm(np.zeros((0, 4, 2)), 2), (0, 4, 2)),
        (attention(np.ones((0, 2, 3)), np.ones((0, 4, 3)), np.ones((0, 4, 5))), (0, 2, 5)),
        (attention(np.ones((2, 3)), np.ones((0, 3)), np.ones((0, 5))), (2, 5)),
        (nn.Tensor(empty).prod(0), (3,)),
        (nn.Tensor(empty).cumsum(0), (0, 3)),
        (nn.cat(nn.split(empty, 2)), (0, 3)),
        (F.pad(empty, (1, 0, 2, 0)), (2, 4)),
    ):
        assert y.shape == shape
        assert np.isfinite(y.data).all()


@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (F.linear, [(2, 3, 0), (4, 0), (4,)]),
        (F.linear, [(2, 3, 5), (0, 5), (0,)]),
        (F.linear, [(5,), (0, 5), (0,)]),
        (F.linear, [(2, 0, 5), (4, 5), (4,)]),
        (F.softmax, [(2, 0)]),
        (F.log_softmax, [(0,)]),
        (lambda w: F.embedding(np.array([[0, 2], [1, 1]]), w), [(3, 0)]),
        (attention, [(2, 3, 0), (2, 4, 0), (2, 4, 5)]),
        (F.relu, [()]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_and_a_single_number_have_gradients_of_their_shapes(function, shapes, dtype):
    tensors = [nn.Tensor(np.ones(shape, dtype), requires_grad=True) for shape in shapes]
    function(*tensors).sum().backward()
    for t, shape in zip(tensors, shapes, strict=True):
        assert (t.grad.shape, t.grad.dtype) == (shape, dtype)


def test_where_std_has_no_derivative_all_modes_give_0():
    x = nn.Tensor(np.ones(3), requires_grad=True)
    np.testing.assert_array_equal(nn.grad(x.std(), x, create_graph=True)[0].data, 0)
    np.testing.assert_array_equal(nn.jvp(nn.Tensor.std, x, np.array([1.0, 2.0, 4.0]))[1].data, 0)


def test_logsumexp_of_nothing_at_second_order():
    x = nn.Tensor(np.zeros((2, 0)), requires_grad=True)
    assert nn.grad(x.logsumexp(1).sum(), x, create_graph=True)[0].shape == (2, 0)


def test_means_of_no_rows_are_no_means_and_of_nothing_an_error():
    x = nn.Tensor(np.zeros((0, 3)), requires_grad=True)
    for y in (x.mean(1), x.var(-1), x.std((1,))):
        assert y.shape == (0,)
        y.sum().backward()
    for nothing in (x.mean, lambda: x.var(0), lambda: x.mean((0, 1))):
        with pytest.raises(ValueError, match="is empty"):
            nothing()


@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (lambda x, w, b: F.layer_norm(x, (3,), w, b), [(0, 3), (3,), (3,)]),
        (lambda x: F.group_norm(x, 2), [(0, 4, 2)]),
        (F.conv2d, [(0, 2, 3, 3), (1, 2, 2, 2)]),
        (F.conv_transpose2d, [(0, 2, 3, 3), (2, 1, 2, 2)]),
        (attention, [(0, 2, 3), (0, 4, 3), (0, 4, 5)]),
        (lambda x: x.var(1), [(0, 3)]),
        (lambda x: x.prod(0), [(0, 3)]),
    ],
)  # fmt: skip
def test_empty_batches_go_through_all_modes(function, shapes):
    xs = [nn.Tensor(np.ones(shape), requires_grad=True) for shape in shapes]
    for x, g in zip(xs, nn.grad((function(*xs) ** 2).sum(), xs, create_graph=True), strict=True):
        assert g.shape == x.shape
    y, change = nn.jvp(function, tuple(xs), tuple(np.ones(shape) for shape in shapes))
    assert y.shape == change.shape
