"""im2col and the pools on the device (csrc/cuda/windows.cu)."""

from typing import Any

import numpy as np

from ...geometry import both
from ...kernels import avg_pool2d, im2col, qavg_pool2d, qmax_pool2d
from ..array import DeviceArray
from ..device_kernel import Call, on_device


def windows(call: Call, x: DeviceArray, out: DeviceArray, kernel_size: Any, stride: Any, padding: Any,
            dilation: Any = 1) -> Any:
    """What the library knows of them."""
    pairs = [n for two in (kernel_size, stride, padding, dilation) for n in both(two)]
    return call.library.ffi.new("nn_cuda_windows *", (*x.shape, *out.shape[1:3], *pairs))


@on_device(im2col, "naive")
def _im2col(call: Call, out: DeviceArray, x: DeviceArray, kernel_size: Any, stride: Any, padding: Any,
            dilation: Any, fill: int) -> None:
    bits = int(fill) if x.itemsize == 1 else int(np.float32(fill).view(np.uint32))
    how = windows(call, x, out, kernel_size, stride, padding, dilation)
    call("nn_cuda_im2col", how, out.size, x.itemsize, bits, x, out)


@on_device(qmax_pool2d, "naive")
def _qmax_pool2d(call: Call, out: DeviceArray, x: DeviceArray, kernel_size: Any, stride: Any, padding: Any
                 ) -> None:
    how = windows(call, x, out, kernel_size, stride, padding)
    call("nn_cuda_qmax_pool2d", how, out.size, x.itemsize, x, out)


@on_device(avg_pool2d, "naive")
def _avg_pool2d(call: Call, out: DeviceArray, x: DeviceArray, kernel_size: Any, stride: Any, padding: Any
                ) -> None:
    call("nn_cuda_avg_pool2d", windows(call, x, out, kernel_size, stride, padding), out.size, x, out)


@on_device(qavg_pool2d, "naive")
def _qavg_pool2d(call: Call, out: DeviceArray, x: DeviceArray, kernel_size: Any, stride: Any, padding: Any,
                 zero: int) -> None:
    how = windows(call, x, out, kernel_size, stride, padding)
    call("nn_cuda_qavg_pool2d", how, out.size, int(zero), x, out)
