"""depthwise_conv2d on the device (csrc/cuda/depthwise_conv2d.cu)."""

from typing import Any

import numpy as np

from ...kernels import depthwise_conv2d
from ..array import DeviceArray, constant
from ..convolution import convolution, tap_rows
from ..device_kernel import Call, DeviceOperand, on_device

RUNGS = "naive", "tiles"
STEP = 4  # channels that are read at once


def _pack(w: np.ndarray) -> dict[str, Any]:
    """taps: the filters, as csrc/cuda/depthwise_conv2d.cu reads them."""
    return {"taps": constant(tap_rows(w, STEP))}


@on_device(depthwise_conv2d, *RUNGS, pack=_pack)
def _depthwise_conv2d(call: Call, out: DeviceArray, x: DeviceArray, w: DeviceOperand,
                      bias: DeviceArray | None, stride: Any, padding: Any, dilation: Any, relu: bool) -> None:
    g = convolution(call, x, w.shape, out, stride, padding, dilation, x.shape[3])
    call("nn_cuda_depthwise_conv2d", RUNGS.index(call.rung or "tiles"), g, x, w.taps, w.taps.shape[1], bias,
         relu, out)
