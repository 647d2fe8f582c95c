"""qconv2d on the device (csrc/cuda/qconv2d.cu)."""

from functools import cache
from typing import Any

import numpy as np

from ...kernels import qconv2d
from ..array import DeviceArray, constant
from ..convolution import convolution, filter_rows
from ..device_kernel import Call, DeviceOperand, on_device
from ..requantize import Requantize

RUNGS = "naive", "tiles", "tiles_wide", "mma", "mma_wide"
NEEDS = {"mma": (8, 0), "mma_wide": (8, 0)}
STEP = 64  # bytes of a row of filters that are read together


def _pack(w: np.ndarray, groups: int) -> dict[str, Any]:
    """rows: the filters, as csrc/cuda/qconv2d.cu reads them; sums: (O,) of each."""
    return {"rows": constant(filter_rows(w, STEP)), "sums": constant(w.sum(axis=(1, 2, 3), dtype=np.int32))}


@cache
def borders() -> DeviceArray:
    """16 bytes of each code: what lies around images whose zero point it is."""
    return constant(np.repeat(np.arange(256, dtype=np.uint8), 16))


def _best(call: Call, positions: int, w: tuple[int, ...], groups: int) -> str:
    """The rung for so many positions: the large tiles where they are enough for all multiprocessors."""
    filters, channels = w[:2]
    if call.library.capability < NEEDS["mma"] or groups > 1 or channels % 16:
        return "tiles_wide" if filters // groups > 64 else "tiles"
    wide = -(-positions // 256) * -(-filters // 128)
    return "mma_wide" if filters > 64 and wide >= call.library.multiprocessors else "mma"


@on_device(qconv2d, *RUNGS, needs=NEEDS, pack=_pack)
def _qconv2d(call: Call, out: DeviceArray, x: DeviceArray, w: DeviceOperand, bias: DeviceArray | None,
             x_zero: int, stride: Any, padding: Any, dilation: Any, groups: int, scale: Any, out_zero: int,
             clip: Any, rounding: str) -> None:
    g = convolution(call, x, w.shape, out, stride, padding, dilation, groups)
    how = Requantize(call, out, bias, scale, out_zero, clip, rounding)
    zero = call.library.ffi.new("nn_cuda_zero_points *", {"a_zero": x_zero, "b_sums": w.sums.pointer})
    rung = call.rung or _best(call, out.size // out.shape[3], w.shape, groups)
    call("nn_cuda_qconv2d", RUNGS.index(rung), g, x, zero, borders(), w.rows, w.rows.shape[1], out, how.c)
