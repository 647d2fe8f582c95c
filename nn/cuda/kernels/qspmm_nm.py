"""qspmm_nm on the device (csrc/cuda/qspmm_nm.cu)."""

from typing import Any

import numpy as np

from ...kernels import qspmm_nm
from ..array import DeviceArray, constant
from ..device_kernel import Call, DeviceOperand, on_device
from ..pieces import room
from ..requantize import Requantize

WIDE, WIDE_BYTES = (256, 128), 147_456  # rows of W and of x of a wide tile; of shared memory
SIDE, DEPTH, ROWS = 256, 128, 16  # rows of W of a tile, k of a stage; rows whose places are together


def _pack(values: np.ndarray, indices: np.ndarray) -> dict[str, Any]:
    """values, places: as they came. Of 2:4 also kept, their places and sums, as tensor cores read them."""
    parts = {"values": constant(np.ascontiguousarray(values)),
             "places": constant(np.ascontiguousarray(indices)), "kept": None}
    if values.shape[2] == 2 and (found := rising(values, indices)):
        kept, places = found
        n, groups, _ = kept.shape
        kp = -(-groups * 4 // DEPTH) * DEPTH
        rows = np.zeros((n, kp // 2), np.int8)
        rows[:, :groups * 2] = kept.reshape(n, groups * 2)
        parts |= {"kept": constant(rows), "of_lanes": constant(of_lanes(places, kp)),
                  "sums": constant(kept.sum(axis=(1, 2), dtype=np.int32))}
    return parts


def rising(values: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The same W with the lower place of each pair first, as mma.sp wants it. A place that was named twice
    has the sum, and another a 0; None where such a sum is no int8, or where a group is longer than four."""
    if indices.size and indices.max() > 3:
        return None
    order = np.argsort(indices, axis=2, kind="stable")
    values, indices = (np.take_along_axis(x, order, axis=2) for x in (values.astype(np.int16), indices))
    first, second = indices[..., 0], indices[..., 1]
    twice, last = first == second, first == 3
    sums = values.sum(axis=2)
    once = np.stack([np.where(last, 0, sums), np.where(last, sums, 0)], axis=2)
    values = np.where(twice[..., None], once, values)
    if values.size and (values.min() < -128 or values.max() > 127):
        return None
    places = np.stack([first - (twice & last), second + (twice & ~last)], axis=2)
    return values.astype(np.int8), places.astype(np.uint32)


def of_lanes(places: np.ndarray, kp: int) -> np.ndarray:
    """Places (N, groups, 2) as words (N / 16, kp / 64, 32): lane 4 g + t of a warp has row g + 8 (t % 2)'s of
    the t // 2-th 32 k (csrc/cuda/mma.h). Groups and rows of a tile that are not there have 0 and 1."""
    n, groups, _ = places.shape
    nibbles = np.full((-(-n // SIDE) * SIDE, kp // 4), 1 << 2, np.uint32)
    nibbles[:n, :groups] = places[..., 0] | places[..., 1] << 2
    shifts = np.arange(0, 32, 4, dtype=np.uint32)
    words = np.bitwise_or.reduce(nibbles.reshape(len(nibbles), kp // 32, 8) << shifts, axis=2)
    blocks = words.reshape(len(words) // ROWS, 2, ROWS // 2, kp // 64, 2)  # (…, lower row, g, step, later k)
    return np.ascontiguousarray(blocks.transpose(0, 3, 2, 4, 1).reshape(len(blocks), kp // 64, 32), np.uint32)


def _best(call: Call, m: int, n: int) -> str:
    """The rung for a result of these sizes: wide tiles where each multiprocessor has one, and room for it."""
    if call.library.capability < (8, 0):
        return "naive"
    down, across = WIDE
    enough = -(-n // down) * -(-m // across) >= call.library.multiprocessors
    return "mma_wide" if enough and call.library.shared_per_block >= WIDE_BYTES else "mma"


@on_device(qspmm_nm, "naive", "mma", "mma_wide", needs={"mma": (8, 0), "mma_wide": (8, 0)}, pack=_pack)
def _qspmm_nm(call: Call, out: DeviceArray, x: DeviceArray, values: DeviceOperand, x_zero: int,
              bias: DeviceArray | None, scale: Any, out_zero: int, out_dtype: Any, clip: Any, rounding: str,
              **_: Any) -> None:
    (m, k), n, unsigned = x.shape, out.shape[1], x.dtype == np.uint8
    how = Requantize(call, out, bias, scale, out_zero, clip, rounding)
    (_, groups, kept), rung = values.values.shape, call.rung or _best(call, m, n)
    of = k // max(groups, 1)
    if rung == "naive" or of != 4 or values.kept is None:  # no other pattern is one of tensor cores
        call("nn_cuda_qspmm_nm", m, n, k, groups, kept, of, x, unsigned, x_zero, values.values, values.places,
             out, how.c)
        return
    stride, spread = room(x)
    call("nn_cuda_qspmm_nm_24", rung == "mma_wide", m, n, k, values.kept.shape[1] * 2, stride, x, spread,
         unsigned, x_zero, values.kept, values.of_lanes, values.sums, out, how.c)
