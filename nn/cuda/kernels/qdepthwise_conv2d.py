"""qdepthwise_conv2d on the device (csrc/cuda/qdepthwise_conv2d.cu)."""

from typing import Any

import numpy as np

from ...kernels import qdepthwise_conv2d
from ..array import DeviceArray, constant
from ..convolution import convolution, tap_rows
from ..device_kernel import Call, DeviceOperand, on_device
from ..requantize import Requantize

RUNGS = "naive", "tiles"
STEP = 16  # channels that are read at once


def _pack(w: np.ndarray) -> dict[str, Any]:
    """taps: the filters, as csrc/cuda/qdepthwise_conv2d.cu reads them; sums: (C,) of each."""
    return {"taps": constant(tap_rows(w, STEP)), "sums": constant(w.sum(axis=(1, 2, 3), dtype=np.int32))}


@on_device(qdepthwise_conv2d, *RUNGS, pack=_pack)
def _qdepthwise_conv2d(call: Call, out: DeviceArray, x: DeviceArray, w: DeviceOperand,
                       bias: DeviceArray | None, x_zero: int, stride: Any, padding: Any, dilation: Any,
                       scale: Any, out_zero: int, clip: Any, rounding: str) -> None:
    g = convolution(call, x, w.shape, out, stride, padding, dilation, x.shape[3])
    how = Requantize(call, out, bias, scale, out_zero, clip, rounding)
    zero = call.library.ffi.new("nn_cuda_zero_points *", {"a_zero": x_zero, "b_sums": w.sums.pointer})
    call("nn_cuda_qdepthwise_conv2d", RUNGS.index(call.rung or "tiles"), g, x, zero, w.taps, w.taps.shape[1],
         out, how.c)
