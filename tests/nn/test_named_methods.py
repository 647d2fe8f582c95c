"""The methods that PyTorch's users type: their meaning, their derivatives of every mode, what they refuse."""

import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from nn.testing.arrays import arrays, shapes

inf = np.inf
x34 = np.random.default_rng(0).normal(size=(3, 4))

FUNCTIONS = {
    "clone": lambda t: t.clone(),
    "contiguous": lambda t: t.t().contiguous(),
    "norm": lambda t: t.norm(),
    "norm 3 over an axis": lambda t: t.norm(3, 1),
    "norm 1": lambda t: t.norm(1, (0, 1), keepdim=True),
    "norm ∞": lambda t: t.norm(inf, 0),
    "norm −∞": lambda t: t.norm(-inf, 1),
    "norm −1.5": lambda t: t.norm(-1.5, -1, True),
    "repeat": lambda t: t.repeat(2, 1, 3),
    "flip": lambda t: t.flip(0, 1),
    "cumprod": lambda t: t.cumprod(1),
    "cumprod beside zeros": lambda t: (t * np.array([1.0, 0, 1, 0])).cumprod(-1),
    "square": lambda t: t.square(),
    "reciprocal": lambda t: t.reciprocal(),
    "rsqrt": lambda t: (t * t).rsqrt(),
    "arithmetic": lambda t: t.add(2).mul(t).sub(t).div(3).pow(2).neg(),
    "mm": lambda t: t.mm(t.t()),
    "bmm": lambda t: t.view(3, 2, 2).bmm(t.view(3, 2, 2)),
    "mv, dot": lambda t: t.mv(t[0]).dot(t[:, 1]),
    "view_as, expand_as": lambda t: t.view_as(np.zeros((2, 6))) + t[0, 0].expand_as(np.zeros((2, 6))),
    "to": lambda t: t.to(np.float64).type_as(t),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_of_both_orders_backwards_and_forwards(name):
    assert nn.gradcheck(FUNCTIONS[name], x34, order=2)


@given(shapes(0, 3), st.sampled_from([1, 2, 2.5, 3, inf, -inf, -1, 0.5]), st.data())
def test_norms_are_numpys_and_scale(shape, p, data):
    x = data.draw(arrays(shape))
    have = nn.tensor(x).norm(p).item()
    np.testing.assert_allclose(have, np.linalg.norm(x.reshape(-1), p), rtol=1e-9)
    dim = data.draw(st.integers(0, max(len(shape) - 1, 0)))
    if shape:
        np.testing.assert_allclose(nn.tensor(x).norm(p, dim).data, np.linalg.norm(x, p, axis=dim), rtol=1e-9)


@pytest.mark.parametrize("p", [1, 2, 1.5, 3, 0.5, inf, -inf, -1])
def test_the_gradient_of_a_norm_at_zero_is_zero(p):
    t = nn.tensor([[0.0, 0.0], [0.0, -2.0]], requires_grad=True)
    t.norm(p, 1).sum().backward()
    assert np.isfinite(t.grad).all()
    np.testing.assert_array_equal(t.grad[0], [0, 0])
    assert t.grad[1, 0] == 0


def test_norms_that_count_and_norms_of_nothing():
    t = nn.tensor([[0.0, 3.0], [0.0, 0.0]], requires_grad=True)
    assert t.norm(0, 1).tolist() == [1, 0]
    assert t.norm("fro").item() == t.norm(p=2).item() == 3
    assert nn.zeros(0, 3).norm(dim=0).tolist() == [0, 0, 0]
    assert nn.zeros(0).norm().item() == 0


def test_norms_neither_overflow_nor_underflow():
    for dtype, size in ((np.float16, 2e4), (np.float32, 1e38), (np.float64, 1e-300)):
        t = nn.tensor(np.array([3, 4]) * size / 5, dtype=dtype, requires_grad=True)
        norm = t.norm()
        norm.backward()
        np.testing.assert_allclose(float(norm), size, rtol=1e-3)
        np.testing.assert_allclose(t.grad, [0.6, 0.8], rtol=1e-3)
    many = nn.full((70_000,), 1.0, dtype=np.float16)
    assert many.norm().item() == np.float16(np.sqrt(70_000))


@given(shapes(0, 3), st.integers(0, 2), st.data())
def test_repeat_is_numpys_tile(shape, new, data):
    x = data.draw(arrays(shape))
    sizes = data.draw(st.lists(st.integers(0, 3), min_size=len(shape) + new, max_size=len(shape) + new))
    have = nn.tensor(x).repeat(sizes)
    np.testing.assert_array_equal(have.data, np.tile(x, sizes), strict=True)
    assert have.data.flags.writeable
    assert not np.shares_memory(have.data, x)


@given(shapes(1, 3), st.data())
def test_flip_is_numpys_in_memory_of_its_own(shape, data):
    x = data.draw(arrays(shape))
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), unique=True))
    t = nn.from_numpy(x)
    for have in (t.flip(axes), t.flip(*axes), t.flip(dims=axes)):
        np.testing.assert_array_equal(have.data, np.flip(x, axes))
        assert not np.shares_memory(have.data, x)


@given(shapes(1, 3), st.data())
def test_running_products_and_their_gradients_beside_zeros(shape, data):
    x = np.rint(data.draw(arrays(shape)))
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    g = data.draw(arrays(shape))
    t = nn.tensor(x, requires_grad=True)
    y = t.cumprod(dim)
    np.testing.assert_array_equal(y.data, np.cumprod(x, dim))
    y.backward(g)
    h = 1e-30j    # a polynomial: its derivative to the last digit, from an imaginary step
    want = np.zeros(shape)
    for at in np.ndindex(*shape):
        moved = x.astype(complex)
        moved[at] += h
        want[at] = (np.cumprod(moved, dim).imag / 1e-30 * g).sum()
    np.testing.assert_allclose(t.grad, want, atol=1e-9)


def test_float16_products_are_rounded_once():
    x = np.full(300, 1.004, np.float16)
    exact = np.cumprod(x.astype(np.float64))
    assert nn.tensor(x).cumprod(0).dtype == np.float16
    np.testing.assert_allclose(nn.tensor(x).cumprod(0).data, exact, rtol=6e-4)


def test_a_clone_has_memory_of_its_own_row_by_row():
    x = np.arange(6.0).reshape(2, 3).T
    t = nn.from_numpy(x)
    for copy in (t.clone(), t.contiguous()):
        assert not np.shares_memory(copy.data, x)
        assert copy.data.flags.c_contiguous
    row = nn.ones(3)
    assert row.contiguous() is row
    with nn.no_grad():
        t.clone().mul_(0)
    assert x.sum() == 15


def test_dtypes_by_name():
    t = nn.tensor([0.0, -1.7, 2.0])
    named = {"float": np.float32, "double": np.float64, "half": np.float16, "int": np.int32,
             "long": np.int64, "bool": np.bool_}
    for name, dtype in named.items():
        assert getattr(t, name)().dtype == t.to(dtype).dtype == dtype
    assert t.long().tolist() == [0, -1, 2]
    assert t.bool().tolist() == [False, True, True]
    assert t.to(np.float32) is t
    assert t.to(nn.zeros(1, dtype=np.float64)).dtype == np.float64
    with pytest.raises(TypeError, match="to: dtype is 'cpu'"):
        t.to("cpu")


def test_python_values_axes_and_sizes():
    t = nn.arange(6).view(2, 3)
    assert t.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert (nn.tensor(2.5).tolist(), nn.tensor(True).tolist()) == (2.5, True)
    assert (t.dim(), t.numel(), t.size) == (2, 6, 6)
    assert nn.ones(3).t().shape == (3,)
    assert (t.any().item(), t.all().item(), t.all(1).tolist()) == (True, False, [False, True])
    leaf = nn.ones(2)
    assert leaf.requires_grad_() is leaf
    assert leaf.requires_grad
    assert not leaf.requires_grad_(False).requires_grad


def test_comparisons_by_name():
    a, b = nn.tensor([1.0, 2.0, 3.0]), nn.tensor([2.0, 2.0, 2.0])
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        np.testing.assert_array_equal(getattr(a, name)(b).data, getattr(operator, name)(a.data, b.data))


def test_writing_in_place_is_noticed_and_refused_where_it_would_be_recorded():
    t = nn.tensor([1.0, 2.0])
    assert t.add_(nn.ones(2), alpha=2).sub_(1).mul_(3).div_(2) is t
    assert t.tolist() == [3, 4.5]
    assert t.sub_(t, alpha=0.5).fill_(7).tolist() == [7, 7]
    assert t.zero_().tolist() == [0, 0]
    w = nn.ones(2, requires_grad=True)
    loss = (w * w).sum()
    for write in (lambda: w.add_(1), lambda: w.mul_(2), w.zero_, lambda: w.fill_(1), lambda: t.add_(w)):
        with pytest.raises(RuntimeError, match="_: a write cannot be recorded"):
            write()
    with nn.no_grad():
        w.add_(1)
    with pytest.raises(RuntimeError, match="overwritten"):
        loss.backward()


@pytest.mark.parametrize(("error", "message", "call"), [
    (TypeError, "norm: the input is int64", lambda t: nn.arange(3).norm()),
    (ValueError, "norm: p is 'nuc'", lambda t: t.norm("nuc")),
    (ValueError, "norm: p is nan", lambda t: t.norm(np.nan)),
    (ValueError, r"norm: .*\(2, 3\)", lambda t: t.norm(2, 3)),
    (ValueError, "norm: .*", lambda t: t[:0].norm(inf)),
    (ValueError, "norm: .*", lambda t: t[:0].norm(-1)),
    (ValueError, r"repeat: the sizes \(2,\) came for the shape \(2, 3\)", lambda t: t.repeat(2)),
    (ValueError, "repeat: .* at least 0", lambda t: t.repeat(2, -1)),
    (TypeError, "repeat: sizes is .* wanted ints", lambda t: t.repeat(2, 1.5)),
    (ValueError, "flip: the axes .* twice", lambda t: t.flip(0, -2)),
    (IndexError, "axis 2 came", lambda t: t.flip(2)),
    (IndexError, "axis 2 came", lambda t: t.cumprod(2)),
    (ValueError, r"t: the tensor has shape \(2, 3, 1\)", lambda t: t.view(2, 3, 1).t()),
    (ValueError, r"mm: tensors of shapes \(2, 3\) and \(3,\)", lambda t: t.mm(nn.ones(3))),
    (ValueError, "bmm: tensors", lambda t: t.bmm(t)),
    (ValueError, r"matmul: .*\(2,\) and \(3,\)", lambda t: nn.ones(2).dot(nn.ones(3))),
    (TypeError, "add_: ", lambda t: nn.arange(3).add_(0.5)),
    (ValueError, "mul_: ", lambda t: t.mul_(nn.ones(4))),
    (RuntimeError, "only for a leaf", lambda t: (t.requires_grad_() * 2).requires_grad_(False)),
    (TypeError, "only floats have gradients", lambda t: nn.arange(3).requires_grad_()),
], ids=range(20))
def test_refused(error, message, call):
    with pytest.raises(error, match=message):
        call(nn.ones(2, 3))


@pytest.mark.parametrize("dtype", [bool, np.int64, np.float16, np.float32, np.float64])
def test_triangles_have_the_dtype_of_their_matrix(dtype):
    matrix = nn.ones(3, 3, dtype=dtype)
    assert matrix.tril().dtype == matrix.triu().dtype == dtype
    np.testing.assert_array_equal(matrix.tril().data, np.tri(3))


def test_a_scalar_has_a_norm_over_its_axis():
    assert nn.Tensor(-3.0).norm(dim=(0,)).item() == nn.Tensor(-3.0).norm(dim=0).item() == 3


def test_what_requires_grad_may_be_told_to():
    y = nn.Tensor([1.0], requires_grad=True) * 2
    assert y.requires_grad_() is y
    with pytest.raises(RuntimeError, match="computed"):
        y.requires_grad_(False)


@pytest.mark.parametrize(("widths", "want"), [
    ((-1, 1), [1, 2, 3, 4, 1]), ((1, -1), [3, 0, 1, 2, 3]), ((-2, 3), [2, 3, 4, 2, 3, 4]),
    ((2, 1), [3, 4, 0, 1, 2, 3, 4, 0])])
def test_circular_padding_wraps_what_is_left(widths, want):
    x = nn.Tensor(np.arange(5.0)[None, None])
    np.testing.assert_array_equal(nn.functional.pad(x, widths, "circular").data.ravel(), want)
