"""bgemm on the device (csrc/cuda/bgemm.cu)."""

from typing import Any

import numpy as np

from ...kernels import bgemm
from ..array import DeviceArray, constant, empty
from ..device_kernel import Call, DeviceOperand, on_device
from ..pieces import room

RUNGS = "naive", "tiles", "mma"
PIECE = 4  # words that are read at once


def _pack(b_bits: np.ndarray, *_: Any) -> dict[str, Any]:
    """rows: (N, words of whole pieces), zeros at the end; ones: (N,) how many bits of each are 1."""
    n, words = b_bits.shape
    rows = np.zeros((n, -(-words // PIECE) * PIECE), np.uint32)
    rows[:, :words] = b_bits
    ones = np.unpackbits(rows.view(np.uint8), axis=1).sum(axis=1, dtype=np.int32)
    return {"rows": constant(rows), "ones": constant(ones)}


@on_device(bgemm, *RUNGS, needs={"mma": (8, 0)}, pack=_pack)
def _bgemm(call: Call, out: DeviceArray, a_bits: DeviceArray, b_bits: DeviceOperand, k: int) -> None:
    (m, words), (n, b_words) = a_bits.shape, b_bits.rows.shape
    rung = call.rung or ("mma" if call.library.capability >= (8, 0) else "tiles")
    if rung == "mma":
        ones, (stride, spread) = empty((m,), np.int32), room(a_bits)
        call("nn_cuda_bgemm_mma", m, n, k, words, stride, b_words * 4, a_bits, spread, b_bits.rows, ones,
             b_bits.ones, out)
        return
    call("nn_cuda_bgemm", RUNGS.index(rung), m, n, k, words, b_words, a_bits, b_bits.rows, out)
