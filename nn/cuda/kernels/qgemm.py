"""qgemm on the device (csrc/cuda/qgemm.cu)."""

from typing import Any

import numpy as np

from ...kernels import qgemm
from ..array import DeviceArray, constant, vector
from ..device_kernel import Call, DeviceOperand, on_device
from ..requantize import Requantize

STEP = 64  # bytes of b that are read along k together: rows are filled up with zeros


def _pack(b: np.ndarray) -> dict[str, Any]:
    """rows: (N, KP) the columns of b, each in one piece; sums: (N,) of each."""
    k, n = b.shape
    rows = np.zeros((n, -(-k // STEP) * STEP), np.int8)
    rows[:, :k] = b.T
    return {"rows": constant(rows), "sums": constant(b.sum(axis=0, dtype=np.int32))}


@on_device(qgemm, "naive", pack=_pack)
def _qgemm(call: Call, out: DeviceArray, a: DeviceArray, b: DeviceOperand, a_zero: int, b_zero: Any,
           bias: DeviceArray | None, scale: Any, out_zero: int, out_dtype: Any, clip: Any, rounding: str
           ) -> None:
    (m, k), n = a.shape, out.shape[1]
    zeros = None if type(b_zero) is int and not b_zero else vector(b_zero, n, np.int32)
    how = Requantize(call, out, bias, scale, out_zero, clip, rounding)
    call("nn_cuda_qgemm", 0, m, n, k, b.rows.shape[1], a, a.dtype == np.uint8, a_zero, b.rows, zeros, out,
         how.c)
