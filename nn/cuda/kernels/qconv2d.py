"""qconv2d on the device (csrc/cuda/qconv2d.cu)."""

from typing import Any

import numpy as np

from ...kernels import qconv2d
from ..array import DeviceArray, constant
from ..convolution import convolution, filter_rows
from ..device_kernel import Call, DeviceOperand, on_device
from ..requantize import Requantize

RUNGS = "naive", "tiles"
STEP = 64  # bytes of a row of filters that are read together


def _pack(w: np.ndarray, groups: int) -> dict[str, Any]:
    """rows: the filters, as csrc/cuda/qconv2d.cu reads them; sums: (O,) of each."""
    return {"rows": constant(filter_rows(w, STEP)), "sums": constant(w.sum(axis=(1, 2, 3), dtype=np.int32))}


@on_device(qconv2d, *RUNGS, pack=_pack)
def _qconv2d(call: Call, out: DeviceArray, x: DeviceArray, w: DeviceOperand, bias: DeviceArray | None,
             x_zero: int, stride: Any, padding: Any, dilation: Any, groups: int, scale: Any, out_zero: int,
             clip: Any, rounding: str) -> None:
    g = convolution(call, x, w.shape, out, stride, padding, dilation, groups)
    how = Requantize(call, out, bias, scale, out_zero, clip, rounding)
    call("nn_cuda_qconv2d", RUNGS.index(call.rung or "tiles"), g, x, x_zero, w.rows, w.rows.shape[1], w.sums,
         out, how.c)
