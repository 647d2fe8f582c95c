"""qgemm on the device (csrc/cuda/qgemm.cu, qgemm_mma.cu, qgemm_few.cu)."""

from typing import Any

import numpy as np

from ...kernels import qgemm
from ..array import DeviceArray, constant, empty, vector
from ..device_kernel import Call, DeviceOperand, on_device
from ..requantize import Requantize

STEP = 64  # bytes of b that are read along k together: rows are filled up with zeros
PIECE = 16  # bytes of a that are read at once
FEW = 16  # rows that are multiplied while b is read once
TILES = {"mma": (64, 64), "mma_wide": (128, 256)}


def _pack(b: np.ndarray) -> dict[str, Any]:
    """rows: (N, KP) the columns of b, each in one piece; sums: (N,) of each."""
    k, n = b.shape
    rows = np.zeros((n, -(-k // STEP) * STEP), np.int8)
    rows[:, :k] = b.T
    return {"rows": constant(rows), "sums": constant(b.sum(axis=0, dtype=np.int32))}


def _best(call: Call, m: int, n: int) -> str:
    """The rung for a result of these sizes. Tiles are computed as many at once as there are multiprocessors,
    and a wide one takes the time of so many products; small ones are about half as fast for theirs."""
    if call.library.capability < (8, 0):
        return "dp4a"
    if m <= FEW:
        return "few"

    def rounds(rung: str) -> int:
        down, across = TILES[rung]
        return -(-(-(-m // down) * -(-n // across)) // call.library.multiprocessors) * down * across

    return "mma_wide" if rounds("mma_wide") <= 2 * rounds("mma") else "mma"


@on_device(qgemm, "naive", "dp4a", "mma", "mma_wide", "few", pack=_pack,
           needs={"mma": (8, 0), "mma_wide": (8, 0), "few": (8, 0)})
def _qgemm(call: Call, out: DeviceArray, a: DeviceArray, b: DeviceOperand, a_zero: int, b_zero: Any,
           bias: DeviceArray | None, scale: Any, out_zero: int, out_dtype: Any, clip: Any, rounding: str
           ) -> None:
    (m, k), n = a.shape, out.shape[1]
    rung = call.rung or _best(call, m, n)
    zeros = None if type(b_zero) is int and not b_zero else vector(b_zero, n, np.int32)
    stride, sums, unsigned = k, None, a.dtype == np.uint8
    piece = STEP if rung == "few" else PIECE
    if rung != "naive" and (k % piece or zeros is not None):
        stride = -(-k // piece) * piece
        rows, sums = empty((m, stride), a.dtype) if k % piece else None, empty(m, np.int32)
        call("nn_cuda_qgemm_rows", m, k, a, unsigned, stride, rows, sums)
        a = a if rows is None else rows
    how = Requantize(call, out, bias, scale, out_zero, clip, rounding)
    ffi = call.library.ffi
    pointer = {"b_zero": zeros, "a_sums": sums}
    zero = ffi.new("nn_cuda_zero_points *", {
        "a_zero": a_zero, "k": k, "b_sums": b.sums.pointer,
        **{name: x.pointer for name, x in pointer.items() if x is not None}})
    operands = ffi.new("nn_cuda_operands *", {
        "m": m, "n": n, "k": k, "kp": b.rows.shape[1], "a_unsigned": unsigned, "a_stride": stride,
        "a": a.pointer, "b": b.rows.pointer, "out": out.pointer})
    if rung in TILES:
        call("nn_cuda_qgemm_mma", rung == "mma_wide", operands, zero, how.c)
    elif rung == "few":
        call("nn_cuda_qgemm_few", operands, zero, how.c)
    else:
        call("nn_cuda_qgemm", rung == "dp4a", operands, zero, how.c)
