"""relu, batch norm, the pools, the loss: bad input gets one clear error, in NumPy and in C; a few edges."""

import re

import numpy as np
import pytest

import nn
from nn import functional as F
from nn import kernels
from nn.kernels import native
from nn.tensor import Tensor

X = np.arange(24, dtype=np.float32).reshape(4, 6)
C = np.ones(6, np.float32)
IMAGES = np.arange(2 * 4 * 4 * 3, dtype=np.float32).reshape(2, 4, 4, 3)
HALF = np.ones((2, 2, 2, 3), np.float32)
HOW = {"kernel_size": (2, 2), "stride": (2, 2)}
ROWS, RIGHT = np.ones(4, np.float32), np.array([0, 5, 2, 2])
GOOD = {
    "relu": {"x": X},
    "relu_grad": {"g": X, "y": X},
    "erf": {"x": X},
    "gelu": {"x": X},
    "gelu_grad": {"g": X, "x": X},
    "batch_norm": {"x": X, "weight": C, "bias": C},
    "batch_norm_grad": {"g": X, "x": X, "mean": C, "inverse": C, "weight": C},
    "max_pool2d": {"x": IMAGES, **HOW},
    "max_pool2d_grad": {"g": HALF, "winner": HALF.astype(np.uint8), "size": (4, 4), **HOW},
    "avg_pool2d": {"x": IMAGES, **HOW},
    "avg_pool2d_grad": {"g": HALF, "size": (4, 4), **HOW},
    "softmax_cross_entropy": {"x": X, "classes": RIGHT},
    "softmax_cross_entropy_grad": {"g": ROWS, "p": X, "classes": RIGHT},
}
ARRAYS = [(kernel, name) for kernel, good in GOOD.items() for name, x in good.items()
          if isinstance(x, np.ndarray)]


pytestmark = pytest.mark.usefixtures("backend")


def call(kernel, **changes):
    return getattr(kernels, kernel)(**{**GOOD[kernel], **changes})


@pytest.mark.parametrize(("kernel", "name"), ARRAYS)
@pytest.mark.parametrize(("error", "change", "came"), [
    (TypeError, lambda x: x.tolist(), "list"), (TypeError, lambda x: x.astype(float), "float64"),
    (TypeError, lambda x: x.astype(">f4"), "byte-swapped"), (TypeError, np.ma.masked_array, "masked"),
    (TypeError, lambda x: 3, "int"), (ValueError, lambda x: x[None], r"\(1, ")],
    ids=["list", "float64", "swapped", "masked", "number", "rank"])
def test_a_bad_array_is_refused(kernel, name, error, change, came):
    if (kernel, error) in {("relu", ValueError), ("erf", ValueError), ("gelu", ValueError)}:
        return                                   # any shape will do
    if came == "float64" and GOOD[kernel][name].dtype.kind == "f":
        return                                   # the specification takes it: test_other_floats.py
    with pytest.raises(error, match=rf"^{kernel}: .*(?<!\w){name}(?!\w)") as raised:
        call(kernel, **{name: change(GOOD[kernel][name])})
    assert re.search(came, str(raised.value)), str(raised.value)


@pytest.mark.parametrize(("kernel", "name", "value", "error", "came"), [
    ("relu_grad", "g", X[:2], ValueError, r"\(2, 6\)"),
    ("gelu_grad", "g", X[:2], ValueError, r"\(2, 6\)"),
    ("batch_norm", "x", X[:0], ValueError, r"\(0, 6\)"),
    ("batch_norm", "weight", C[:5], ValueError, "5"),
    ("batch_norm", "bias", np.ones(7, np.float32), ValueError, "7"),
    ("batch_norm", "eps", -1e-5, ValueError, "-1e-05"),
    ("batch_norm", "eps", float("nan"), ValueError, "nan"),
    ("batch_norm", "eps", "small", TypeError, "str"),
    ("batch_norm_grad", "g", X[:3], ValueError, r"\(3, 6\)"),
    ("batch_norm_grad", "mean", C[:5], ValueError, "5"),
    ("batch_norm_grad", "inverse", C[:5], ValueError, "5"),
    ("batch_norm_grad", "weight", C[:5], ValueError, "5"),
    ("max_pool2d", "kernel_size", (2, 2.0), TypeError, "float"),
    ("max_pool2d", "kernel_size", (0, 2), ValueError, "0"),
    ("max_pool2d", "kernel_size", (5, 2), ValueError, r"\(5, 2\)"),
    ("max_pool2d", "stride", (1, 0), ValueError, "0"),
    ("max_pool2d", "padding", (2, 0), ValueError, r"\(2, 0\)"),
    ("max_pool2d", "padding", (-1, 0), ValueError, "-1"),
    ("avg_pool2d", "padding", None, TypeError, "None"),
    ("avg_pool2d", "stride", (1 << 40, 1), ValueError, str(1 << 40)),
    ("max_pool2d_grad", "winner", np.zeros((2, 2, 2, 4), np.uint8), ValueError, r"\(2, 2, 2, 4\)"),
    ("max_pool2d_grad", "g", np.ones((2, 3, 2, 3), np.float32), ValueError, r"\(2, 3, 2, 3\)"),
    ("avg_pool2d_grad", "size", (4, 1.5), TypeError, "float"),
    ("avg_pool2d_grad", "g", np.ones((2, 3, 2, 3), np.float32), ValueError, r"\(2, 3, 2, 3\)"),
    ("softmax_cross_entropy", "x", X[:3], ValueError, r"\(3, 6\)"),
    ("softmax_cross_entropy", "x", X[:, :0], ValueError, r"\(4, 0\)"),
    ("softmax_cross_entropy", "classes", RIGHT - 1, ValueError, "-1 to 4"),
    ("softmax_cross_entropy", "classes", RIGHT == 0, TypeError, "bool"),
    ("softmax_cross_entropy_grad", "g", ROWS[:3], ValueError, r"\(3,\)"),
    ("softmax_cross_entropy_grad", "p", X[:, :0], ValueError, r"\(4, 0\)"),
    ("softmax_cross_entropy_grad", "classes", RIGHT + 1, ValueError, "1 to 6"),
    ("softmax_cross_entropy_grad", "classes", RIGHT[:3], ValueError, r"\(3,\)"),
])
def test_other_bad_arguments(kernel, name, value, error, came):
    call(kernel)    # what is cached of a good call lets no bad one through
    with pytest.raises(error, match=rf"^{kernel}: .*(?<!\w){name}(?!\w)") as raised:
        call(kernel, **{name: value})
    assert re.search(came, str(raised.value)), str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_winner_that_is_no_pixel_of_the_window_writes_nowhere():
    assert not call("max_pool2d_grad", winner=np.full(HALF.shape, 255, np.uint8)).any()


def test_relu_takes_any_shape_and_keeps_the_layout():
    for shape in ((), (0,), (2, 0, 3), (3, 4, 5, 2)):
        x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        np.testing.assert_array_equal(kernels.relu(x), np.maximum(x, 0))
    x = X.reshape(2, 2, 6).transpose(0, 2, 1) - 11
    if kernels.relu.choice != native.NUMPY:
        assert kernels.relu(x).strides == x.strides


def test_the_first_of_equals_wins_and_of_several_nan_the_last():
    x = np.full((1, 2, 2, 20), 7, np.float32)
    y, winner = kernels.max_pool2d(x, (2, 2), (1, 1))
    assert (y == 7).all()
    assert (winner == 0).all()
    x[0, 0, 1] = x[0, 1, 0] = np.nan
    y, winner = kernels.max_pool2d(x, (2, 2), (1, 1))
    assert np.isnan(y).all()
    assert (winner == 2).all()


def test_padding_never_wins():
    x = np.full((1, 2, 2, 3), -np.inf, np.float32)
    y, winner = kernels.max_pool2d(x, (2, 2), (2, 2), (1, 1))
    assert (y == -np.inf).all()
    assert winner[0, :, :, 0].tolist() == [[3, 2], [1, 0]]


@pytest.mark.parametrize("offset", [0, 1e3, 1e5])
def test_a_large_mean_does_not_cancel(offset):
    """The second single pass of the textbooks, E[x²] − E[x]², has no digit left at 10⁵ (Chan et al. 1983)."""
    x = (np.random.default_rng(0).standard_normal((5000, 3)) + offset).astype(np.float32)
    y, mean, var, _ = kernels.batch_norm(x)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(mean, wide.mean(0), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(var, wide.var(0), rtol=1e-5)
    assert abs(y.astype(float).std(axis=0) - 1).max() < 1e-3


# What the rules do with them


def gradients(f, *arrays):
    tensors = [Tensor(a, requires_grad=True) for a in arrays]
    out = f(*tensors)
    weights = np.random.default_rng(1).standard_normal(out.shape).astype(np.float32)
    (out * weights.astype(out.dtype)).sum().backward()
    return [out.data, *(t.grad for t in tensors)]


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("f", [
    F.relu, lambda x: F.max_pool2d(x, 3, 2, 1), lambda x: F.max_pool2d(x, 2),
    lambda x: F.avg_pool2d(x, 3, 2, 1), lambda x: F.avg_pool2d(x, (2, 3), 1),
    lambda x: F.batch_norm(x, None, None, training=True)],
    ids=["relu", "max 3 2 1", "max 2", "avg 3 2 1", "avg 2×3", "batch_norm"])
def test_float32_gives_what_float64_gives(f, channels_last):
    """float32 goes by the kernels, float64 never does."""
    x = np.random.default_rng(0).standard_normal((4, 5, 7, 6))
    if channels_last:
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    narrow = x.astype(np.float32)
    for a, b in zip(gradients(f, narrow), gradients(f, narrow.astype(float)), strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


def normalised(x):
    return F.relu(F.batch_norm(x, None, None, training=True))


@pytest.mark.parametrize("path", [
    lambda x: [x, a := F.relu(x * 2), b := normalised(a), c := F.relu(b), c * c],
    lambda x: [x, a := x * 2, b := F.relu(a), c := normalised(a), F.relu(b * c + a)],
    lambda x: [x, a := F.relu(x * 2), b := normalised(a + a), F.relu(b) + F.relu(a - b)]],
    ids=["line", "branches", "one gradient for two"])
def test_no_gradient_is_overwritten_that_somebody_waits_for(path):
    """Of all that was computed on the way, and of the leaf, against float64, which overwrites nothing."""
    values = np.random.default_rng(0).standard_normal((9, 6)).astype(np.float32)
    seed = np.random.default_rng(1).standard_normal(values.shape).astype(np.float32)

    def computed(x, seed):
        *parts, out = path(x)
        gradients = nn.grad(out, parts, seed, retain_graph=True)
        out.backward(seed)
        return [*gradients, x.grad]

    given = seed.copy()
    narrow = computed(Tensor(values, requires_grad=True), given)
    wide = computed(Tensor(values.astype(float), requires_grad=True), seed.astype(float))
    np.testing.assert_array_equal(given, seed)
    for a, b in zip(narrow, wide, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_double_backward_goes_by_the_twin():
    """∂/∂x of ‖∂L/∂x‖² in float32, against float64."""

    def twice(x):
        t = Tensor(x, requires_grad=True)
        y = F.max_pool2d(F.relu(F.batch_norm(t, None, None, training=True)), 2)
        (g,) = nn.grad((y * y).sum(), [t], create_graph=True)
        (h,) = nn.grad((g * g).sum(), [t])
        return h.data

    x = np.random.default_rng(0).standard_normal((3, 2, 4, 4))
    x = x.astype(np.float32)
    np.testing.assert_allclose(twice(x), twice(x.astype(float)), rtol=2e-3, atol=2e-4)


LAYOUTS = {
    "C": np.ascontiguousarray, "F": np.asfortranarray, "reversed": lambda x: x[::-1],
    "strided": lambda x: x[..., ::2]}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("shape", [
    (2, 3), (3, 5, 7), (2, 1, 4, 4), (2, 33, 5, 7), (1, 4, 16, 18), (0, 3, 2, 2), (2, 0, 3, 3), (2, 3, 0, 3),
    (2, 6, 3, 4, 5)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_channels_last_is_a_transposition(dtype, shape, layout):
    x = layout(np.random.default_rng(0).integers(-999, 999, shape).astype(dtype))
    y = kernels.channels_last(x)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, np.moveaxis(x, 1, -1))
    already = kernels.channels_last(np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1))
    assert already.flags.c_contiguous
    assert already.base is not None    # a view


def test_the_mean_of_windows_of_any_size():
    x = np.random.default_rng(0).normal(size=(2, 3, 40, 37)).astype(np.float32)
    t = Tensor(x, requires_grad=True)
    y = F.avg_pool2d(t, (40, 37))
    np.testing.assert_allclose(y.numpy()[..., 0, 0], x.mean((2, 3), np.float64), atol=1e-6)
    y.sum().backward()
    np.testing.assert_allclose(t.grad, np.full_like(x, 1 / (40 * 37)), rtol=1e-6)
