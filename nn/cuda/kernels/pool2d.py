"""avg_pool2d, qmax_pool2d and qavg_pool2d on the device (csrc/cuda/pool2d.cu)."""

from typing import Any

import numpy as np

from ...geometry import Pair, both
from ...kernels import avg_pool2d, qavg_pool2d, qmax_pool2d
from ..array import DeviceArray
from ..convolution import convolution
from ..device_kernel import Call, on_device


def _windows(call: Call, x: DeviceArray, out: DeviceArray, kernel_size: Pair, stride: Pair, padding: Pair
             ) -> Any:
    """The geometry of windows: that of a filter for each channel."""
    c = x.shape[3]
    return convolution(call, x, (c, 1, *both(kernel_size)), out, stride, padding, 1, c)


@on_device(avg_pool2d, "naive")
def _avg_pool2d(call: Call, out: DeviceArray, x: DeviceArray, kernel_size: Pair, stride: Pair, padding: Pair
                ) -> None:
    call("nn_cuda_avg_pool2d", _windows(call, x, out, kernel_size, stride, padding), x, out)


@on_device(qmax_pool2d, "naive")
def _qmax_pool2d(call: Call, out: DeviceArray, x: DeviceArray, kernel_size: Pair, stride: Pair, padding: Pair
                 ) -> None:
    g = _windows(call, x, out, kernel_size, stride, padding)
    call("nn_cuda_qmax_pool2d", g, x.dtype == np.float32, x, out)


@on_device(qavg_pool2d, "naive")
def _qavg_pool2d(call: Call, out: DeviceArray, x: DeviceArray, kernel_size: Pair, stride: Pair, padding: Pair,
                 zero: int) -> None:
    call("nn_cuda_qavg_pool2d", _windows(call, x, out, kernel_size, stride, padding), x, zero, out)
