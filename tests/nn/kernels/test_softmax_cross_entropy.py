"""softmax_cross_entropy: its exponential against float64, infinities and NaN, one result of all variants."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nn import functional as F
from nn import kernels
from nn.kernels import native, softmax_cross_entropy, softmax_cross_entropy_grad
from nn.tensor import Tensor

NEEDS_C = pytest.mark.skipif(native.lib is None, reason="there are no C kernels here")
MOST = 2.0     # units in the last place


def units_off(x):
    """How far off the kernel's exponential is, in units in the last place of the exact one, for x ≤ 0."""
    y = x.copy()
    native.lib.nn_exp(y.size, native.ffi.from_buffer(y))
    want = np.exp(x.astype(np.float64))
    unit = np.exp2(np.maximum(np.floor(np.log2(np.maximum(want, 1e-300))), -126) - 23)
    return np.abs(y - want) / unit


@NEEDS_C
def test_the_exponential_is_right_over_its_whole_range():
    """One float of 503, from −0 to the largest: 4.2 million of them."""
    x = -np.arange(0, 0x7f800000, 503, np.int32).view(np.float32)
    assert units_off(x).max() < MOST
    assert units_off(np.array([-np.inf, -104.0, -103.98, -87.4, -0.0], np.float32)).max() < MOST


@NEEDS_C
@given(st.lists(st.floats(-110, 0, width=32), min_size=1, max_size=40))
def test_the_exponential_is_right_wherever_one_looks(values):
    assert units_off(np.array(values, np.float32)).max() < MOST


@NEEDS_C
def test_the_exponential_of_the_ends():
    x = np.array([-np.inf, -3.4e38, -104, 0, -0.0, np.nan, -np.nan], np.float32)
    native.lib.nn_exp(x.size, native.ffi.from_buffer(x))
    np.testing.assert_array_equal(x, np.array([0, 0, 0, 1, 1, np.nan, np.nan], np.float32))


ROWS = {
    "-inf among others": [-np.inf, 1, 2], "-inf alone": [-np.inf] * 3, "+inf": [np.inf, 0, 1],
    "two +inf": [np.inf, np.inf, 1], "both": [np.inf, -np.inf, 0], "nan first": [np.nan, 0, 1],
    "nan last": [0, 1, np.nan], "nan and inf": [np.inf, np.nan, 1], "largest": [3.4e38, -3.4e38, 0]}


@pytest.mark.parametrize("variant", [v.name for v in softmax_cross_entropy.variants()])
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_infinities_and_nan_go_as_in_numpy(variant, row):
    """Whichever class is the right one, however many others there are; other rows stay as they are."""
    for more in (0, 1, 13, 40):
        x = np.zeros((4, 3 + more), np.float32)
        x[:3, :3] = row
        x[:3, 3:] = -np.inf
        classes = np.array([0, 1, 2, 0])
        with np.errstate(all="ignore"):
            want = softmax_cross_entropy.reference(x, classes)
            with kernels.use(variant):
                got = softmax_cross_entropy(x, classes)
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)


@NEEDS_C
@pytest.mark.parametrize("shape", [(64, 10), (1, 1), (3, 5000), (700, 7), (129, 100), (0, 4)])
def test_all_variants_give_the_same_bits(shape):
    rng = np.random.default_rng(0)
    x = (rng.standard_normal(shape) * 20).astype(np.float32)
    classes, g = rng.integers(0, shape[1], shape[0]), rng.standard_normal(shape[0]).astype(np.float32)
    results = []
    variants = (k.variants()[1:] for k in (softmax_cross_entropy, softmax_cross_entropy_grad))
    for first, second in zip(*variants, strict=True):
        with kernels.use(first), kernels.use(second):
            losses, p = softmax_cross_entropy(x, classes)
            dx = softmax_cross_entropy_grad(g, p, classes)
            results.append((losses.tobytes(), p.tobytes(), dx.tobytes()))
    assert len(set(results)) == 1


@pytest.mark.parametrize("backend", ["numpy", "c"])
@pytest.mark.parametrize("dtype", ["b", "u1", "i2", "i4", "u4", "i8", "q", "u8"])
def test_classes_may_be_any_integers(backend, dtype):
    if backend == "c" and native.lib is None:
        pytest.skip("there are no C kernels here")
    x, classes = np.eye(3, 4, dtype=np.float32), np.array([3, 0, 2], dtype)
    with kernels.use(backend):
        losses, p = softmax_cross_entropy(x, classes)
        np.testing.assert_array_equal(losses, softmax_cross_entropy(x, classes.astype(np.int64))[0])
        for bad in (4, np.iinfo(dtype).max, np.iinfo(dtype).min or 4):
            wrong = np.array([3, bad, 2], dtype)
            for call in (lambda w=wrong: softmax_cross_entropy(x, w),
                         lambda w=wrong: softmax_cross_entropy_grad(losses, p, w)):
                with pytest.raises(ValueError, match=rf"classes must be in 0\.\.3, got .*{bad}"):
                    call()


def test_a_loss_that_no_kernel_takes_is_computed_all_the_same():
    """In float64, of strided logits, and of a class that is ignored: the same within float32's rounding."""
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((6, 8)).astype(np.float32), np.array([0, 3, 2, 1, 2, 0])
    half = np.ascontiguousarray(x[:, ::2])
    loss = F.cross_entropy(half, t).item()
    assert loss == pytest.approx(F.cross_entropy(half.astype(float), t).item(), rel=1e-6)
    assert loss == F.cross_entropy(x[:, ::2], t).item()
    for ignored, classes in ((-100, np.where(t == 2, -100, t)), (2, t)):
        some = classes != ignored
        loss = F.cross_entropy(half, classes, ignore_index=ignored).item()
        assert loss == pytest.approx(F.cross_entropy(half[some], classes[some]).item(), rel=1e-6)
    t[3] = 4
    with pytest.raises(ValueError, match=r"^cross_entropy: classes from 0 to 4 came, but logits of shape"):
        F.cross_entropy(half, t)


def test_the_gradient_is_the_softmax_less_the_right_class():
    rng = np.random.default_rng(0)
    x, t = Tensor(rng.standard_normal((5, 4)).astype(np.float32), requires_grad=True), rng.integers(0, 4, 5)
    F.cross_entropy(x, t).backward()
    p = np.exp(x.data.astype(float))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(5), t] -= 1
    np.testing.assert_allclose(x.grad, p / 5, rtol=1e-5, atol=1e-8)
