"""Matrices as rows that a kernel of the device reads in pieces of 16 bytes: a multiple of 8 numbers each,
filled up with zeros (csrc/cuda/rows.cu)."""

from typing import Any

import numpy as np

from .array import DeviceArray, empty, to_device
from .device_kernel import Call, DeviceOperand

STEP = 8


def filled_up(call: Call, x: DeviceArray) -> DeviceArray:
    """(M, K) as (M, KP), KP the next multiple of 8: x itself where K is one."""
    (m, k), width = x.shape, _up(x.shape[1])
    if k == width:
        return x
    made = empty((m, width), x.dtype)
    call("nn_cuda_rows", 0, x.dtype.itemsize, m, k, width, x, made)
    return made


def columns_of(call: Call, b: DeviceArray | DeviceOperand) -> DeviceArray:
    """(N, KP) the columns of a (K, N), each in one piece: those of an operand that `pack` has made; or of an
    array of the device, which is turned there."""
    if isinstance(b, DeviceOperand):
        return b.columns
    k, n = b.shape
    made = empty((n, _up(k)), b.dtype)
    if made.size:
        call("nn_cuda_rows", 1, b.dtype.itemsize, k, n, made.shape[1], b, made)
    return made


def pack(b: np.ndarray) -> dict[str, Any]:
    """The parts of an operand of the device: its columns."""
    k, n = b.shape
    columns = np.zeros((n, _up(k)), b.dtype)
    columns[:, :k] = b.T
    return {"columns": to_device(columns)}


def _up(k: int) -> int:
    return -(-k // STEP) * STEP
