"""sign_bits and bconv2d: shapes that the laws are too quick for, and what they refuse."""

import numpy as np
import pytest

from nn import kernels
from nn.testing.case import Case
from nn.testing.check import DOMAINS, implementations

X, W = np.zeros((2, 4, 4, 2), np.uint32), np.zeros((5, 3, 3, 2), np.uint32)
BEYOND = np.uint32(1 << 31)


def signs(*shape):
    return np.where(np.random.default_rng(0).random(shape) < 0.5, -1, 1).astype(np.float32)


@pytest.mark.parametrize("f", implementations(kernels.bconv2d), ids=lambda f: f.name)
@pytest.mark.parametrize(("x", "w", "how"), [
    ((3, 40, 41, 70), (70, 3, 3), {"padding": (1, 1)}),                 # several blocks of rows
    ((1, 9, 9, 1000), (33, 5, 5), {"padding": (2, 2), "stride": (2, 1)}),   # long sums
    ((300, 2, 2, 40), (130, 2, 2), {"padding": (1, 1)})])
def test_bconv2d(f, x, w, how):
    x, w = signs(*x), signs(*w, x[3])
    want = kernels.conv2d.reference(x, w.transpose(0, 3, 1, 2), **how)
    (got,) = f(DOMAINS["bconv2d"].of(Case(()), x, w, **how))
    np.testing.assert_array_equal(got, want)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(("change", "error", "said"), [
    ({"x_bits": X.astype(np.int32)}, TypeError, "x_bits must be uint32, got int32"),
    ({"x_bits": X[0]}, ValueError, r"x_bits must have 4 dimensions, got shape \(4, 4, 2\)"),
    ({"w_bits": W[..., :1]}, ValueError, r"x_bits and w_bits must agree in words"),
    ({"w_bits": W.astype(np.uint8)}, TypeError, "w_bits must be uint32, got uint8"),
    ({"w_bits": W[:, :0]}, ValueError, "w must have filters of at least one tap"),
    ({"channels": 64.0}, TypeError, "channels must be an integer, got float"),
    ({"channels": 32}, ValueError, "x_bits of shape .* must have 1 word a row for channels = 32"),
    ({"x_bits": X + BEYOND}, ValueError,
     "x_bits must have no bit beyond the first channels = 40 of a row"),
    ({"w_bits": W + BEYOND}, ValueError,
     "w_bits must have no bit beyond the first channels = 40 of a row"),
    ({"stride": 0}, ValueError, "stride is 0, wanted at least 1"),
    ({"padding": -1}, ValueError, "padding is -1, wanted at least 0"),
    ({"dilation": 3}, ValueError, "is smaller than a window"),
    ({"out": np.zeros((2, 2, 2, 5), np.uint32)}, TypeError, "out must be int32, got uint32"),
    ({"out": np.zeros((2, 2, 2, 4), np.int32)}, ValueError, "out must have shape")])
def test_bconv2d_refuses(change, error, said):
    with pytest.raises(error, match=f"^bconv2d: .*{said}"):
        kernels.bconv2d(**{"x_bits": X, "w_bits": W, "channels": 40, **change})


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(("x", "error", "said"), [
    (np.zeros(3, np.float32), ValueError, r"x must have 2 dimensions, got shape \(3,\)"),
    (np.zeros((3, 2), np.int32), TypeError, "x must be float32"),
    (np.array([[1, np.nan]], np.float32), ValueError, "x holds NaN, which has no sign")])
def test_sign_bits_refuses(x, error, said):
    with pytest.raises(error, match=f"^sign_bits: {said}"):
        kernels.sign_bits(x)


def test_zeros_of_both_signs_are_plus_one():
    assert kernels.sign_bits(np.array([[0.0, -0.0, -1.0, 1e-45, -1e-45]], np.float32)).tolist() == [[0b10100]]


@pytest.mark.usefixtures("backend")
def test_out_of_bconv2d_may_not_overlap():
    shared = np.zeros(64, np.uint32)
    with pytest.raises(ValueError, match=r"^bconv2d: out .*overlap"):
        kernels.bconv2d(shared[:16].reshape(1, 4, 4, 1), np.zeros((1, 1, 1, 1), np.uint32), 32,
                        out=shared[8:24].view(np.int32).reshape(1, 4, 4, 1))
