"""What nbit_gemm and codebook_gemm share: codes in the layout of csrc/cuda/codes.h, activations as int8."""

import numpy as np

from .array import empty
from .device_kernel import Call

UNIT, PANEL, STRIDE = 32, 8, 64  # k and columns that are together; rows of activations are of so many bytes
FEW, TILES = 16, 64              # rows up to which weights are decoded for each eight; rows of a tile


def units(codes: np.ndarray, bits: int) -> np.ndarray:
    """Codes (N, K), none negative, as words: (panels of 8 columns, units of 32 k, 8 · bits)."""
    n, k = codes.shape
    panels, count = -(-n // PANEL), -(-k // UNIT)
    filled = np.zeros((panels * PANEL, count * UNIT), np.uint8)
    filled[:n, :k] = codes
    quads = filled.view("<u4").reshape(panels, PANEL, count, UNIT // 4).swapaxes(1, 2)  # (…, unit, column, 8)
    fields = [quads] if bits != 3 else [quads & 0x03030303, quads >> 2 & 0x01010101]
    widths = [bits] if bits != 3 else [2, 1]
    made = []
    for field, width in zip(fields, widths, strict=True):
        together = field.reshape(panels, count, PANEL, width, 8 // width)  # of each word, its quads
        shifts = np.arange(8 // width, dtype=np.uint32) * np.uint32(width)
        words = np.bitwise_or.reduce(together << shifts, axis=-1)
        piece = min(width, 4)  # words that are read at once, at most 16 bytes
        pieces = words.reshape(panels, count, PANEL, width // piece, piece).swapaxes(2, 3)
        made.append(pieces.reshape(panels, count, PANEL * width))
    return np.ascontiguousarray(np.concatenate(made, axis=2), np.uint32)


class Rounded:
    """Room for rows (M, K) as integers with scales of blocks, as the library knows it: `c`."""

    def __init__(self, call: Call, m: int, k: int, block: int, blocks: int) -> None:
        self.q, self.scales = empty((m, -(-k // STRIDE) * STRIDE), np.int8), empty((m, blocks), np.float32)
        self.c = call.library.ffi.new("nn_cuda_rounded *", {
            "q": self.q.pointer, "s": self.scales.pointer, "stride": self.q.shape[1], "block": block,
            "blocks": blocks})


def rung(call: Call, m: int) -> str:
    """The one that was forced, or the best for so many rows."""
    if call.rung is not None:
        return call.rung
    return "few" if m <= FEW or call.library.capability < (8, 0) else "tiles"
