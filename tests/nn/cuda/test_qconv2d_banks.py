"""qconv2d on tensor cores reads its tiles without a conflict: eight rows of ldmatrix lie in eight places of
the banks. And padding, which has a row of its own in memory, is no other than the zero point."""

import numpy as np
import pytest

from nn import cuda
from nn.kernels import qconv2d, use

RUNGS = "mma", "mma_wide"


def images(rng, *shape):
    return rng.integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize("rung", RUNGS)
def test_no_two_rows_lie_in_the_same_banks(rung):
    found = cuda.library()
    if not found.emulated:
        pytest.skip("only the emulation counts conflicts")
    rng = np.random.default_rng(5)
    x, w = images(rng, 2, 9, 8, 48), rng.integers(-128, 128, (70, 48, 3, 3)).astype(np.int8)
    found.counts()
    with use(f"qconv2d_cuda_{rung}"):
        y = qconv2d(x, w, x_zero=3, padding=1)
    assert found.counts()["bank conflicts"] == 0
    np.testing.assert_array_equal(y, qconv2d.reference(x, w, x_zero=3, padding=1))


@pytest.mark.parametrize("rung", RUNGS)
def test_images_of_zero_points_give_zero(rung):
    w = np.random.default_rng(6).integers(-128, 128, (9, 16, 3, 3)).astype(np.int8)
    for zero in (0, 1, 200, 255):
        with use(f"qconv2d_cuda_{rung}"):
            y = qconv2d(np.full((1, 4, 5, 16), zero, np.uint8), w, x_zero=zero, padding=2, dilation=2)
        assert not y.any()
