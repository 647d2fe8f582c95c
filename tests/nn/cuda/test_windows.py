"""Windows on the device, where laws of a few drawn images would seldom come."""

import numpy as np

from nn.kernels import qmax_pool2d, use


def test_a_nan_is_the_greatest_wherever_it_lies(device):
    for place in range(9):
        x = np.arange(9, dtype=np.float32).reshape(1, 3, 3, 1)
        x.flat[place] = np.nan
        with use("qmax_pool2d_cuda_naive"):
            y = qmax_pool2d(x, (2, 2), (1, 1))
        np.testing.assert_array_equal(y, qmax_pool2d.reference(x, (2, 2), (1, 1)))
