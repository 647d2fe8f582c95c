"""conv2d on the device (csrc/cuda/conv2d.cu)."""

from typing import Any

import numpy as np

from ...kernels import conv2d
from ..array import DeviceArray, constant
from ..convolution import convolution, filter_rows
from ..device_kernel import Call, DeviceOperand, on_device

RUNGS = "naive", "tiles", "tiles_wide"
STEP = 8  # numbers of a row of filters that are read together


def _pack(w: np.ndarray, groups: int) -> dict[str, Any]:
    """rows: the filters, as csrc/cuda/conv2d.cu reads them."""
    return {"rows": constant(filter_rows(w, STEP))}


@on_device(conv2d, *RUNGS, pack=_pack)
def _conv2d(call: Call, out: DeviceArray, x: DeviceArray, w: DeviceOperand, bias: DeviceArray | None,
            stride: Any, padding: Any, dilation: Any, groups: int, relu: bool) -> None:
    g = convolution(call, x, w.shape, out, stride, padding, dilation, groups)
    rung = call.rung or ("tiles_wide" if out.shape[3] // groups > 64 else "tiles")
    call("nn_cuda_conv2d", RUNGS.index(rung), g, x, w.rows, w.rows.shape[1], bias, relu, out)
