"""qconv2d by F(4x4) and F(2x2) of 3 x 3 filters in integers (csrc/qwinograd.c): exact as far as allowed."""

import numpy as np
import pytest

from nn import kernels
from nn.kernels import qconv2d

VARIANTS = [v.name for v in qconv2d.variants() if v.name.startswith("rows_s16s16")]
pytestmark = pytest.mark.skipif(not VARIANTS, reason="no variant multiplies int16 here")
MOST = (2**31 - 1) // (64 * 255)    # 64 times a sum of products must fit in int32


def agrees(x, w, **how):
    expected = qconv2d.reference(x, w, **how)
    packed = qconv2d.pack(w, how.get("groups", 1))
    for name in VARIANTS:
        with kernels.use(name):
            np.testing.assert_array_equal(qconv2d(x, packed, **how), expected, err_msg=name)


@pytest.mark.parametrize(("n", "h", "w", "c", "o"), [
    (1, 3, 5, 16, 17), (1, 30, 31, 48, 5), (3, 9, 8, 128, 16), (1, 6, 4, 144, 33), (2, 4, 5, 272, 3),
    (60, 2, 2, 48, 17), (9, 1, 2, 144, 3)])
def test_slices_blocks_and_edges(n, h, w, c, o):
    """Less and more channels than a slice of U; tiles of several blocks; images that end within a tile."""
    rng = np.random.default_rng(c)
    x, weights = rng.integers(0, 256, (n, h, w, c), np.uint8), rng.integers(-128, 128, (o, c, 3, 3), np.int8)
    agrees(x, weights // 4, padding=1, x_zero=77)
    agrees(x, weights // 4, padding=(2, 3), scale=1e-4, out_zero=9)


def test_groups():
    rng = np.random.default_rng(1)
    x, w = rng.integers(0, 256, (2, 7, 7, 96), np.uint8), rng.integers(-128, 128, (12, 32, 3, 3), np.int8)
    agrees(x, w, padding=1, groups=3)


def of_sum(total, sign):
    """Filters of 128 channels, as even as can be, whose weights have this sum."""
    low, more = divmod(total, 9 * 128)
    return (sign * (low + (np.arange(9 * 128) < more))).astype(np.int8).reshape(1, 128, 3, 3)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("above", [0, 1])
def test_the_largest_sum(sign, above):
    """The sum of products reaches 2²⁵: the last that a shift by six gives back; one more goes another way."""
    w = of_sum(MOST + above, sign)
    assert qconv2d.pack(w).parts["largest 0"] == MOST + above
    for value in (255, 254, 1):
        agrees(np.full((1, 6, 6, 128), value, np.uint8), w, padding=1)


@pytest.mark.parametrize("weight", [127, -128])
def test_full_range_of_channels(weight):
    for channels in (112, 128):    # within the limit, and beyond
        w = np.full((2, channels, 3, 3), weight, np.int8)
        agrees(np.full((1, 5, 5, channels), 255, np.uint8), w, padding=1, x_zero=255)
        agrees(np.arange(25 * channels, dtype=np.uint64).astype(np.uint8).reshape(1, 5, 5, channels) * 255, w)


def test_the_packed_sum_is_that_of_numpy():
    w = np.random.default_rng(2).integers(-128, 128, (40, 5, 3, 3), np.int8)
    packed = qconv2d.pack(w).parts["largest 0"]
    with kernels.use("numpy"):
        assert qconv2d.pack(w).parts["largest 0"] == packed
    each = w.reshape(40, -1).astype(int)
    assert packed == max(np.maximum(each, 0).sum(1).max(), -np.minimum(each, 0).sum(1).min())
