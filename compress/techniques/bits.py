"""Numbers of a few bits, one after the other without gaps, the lowest bit first: how small codes are stored.
"""

from __future__ import annotations

import numpy as np

__all__ = ["pack_bits", "unpack_bits"]


def pack_bits(numbers: np.ndarray, width: int, fill: int = 0) -> np.ndarray:
    """Numbers below 2^width as ⌈n·width/8⌉ bytes, uint8; the bits left over are all `fill`."""
    bits = (numbers.ravel()[:, None] >> np.arange(width, dtype=np.uint16)) & 1
    missing = -bits.size % 8
    return np.packbits(np.append(bits.astype(np.uint8), np.full(missing, fill, np.uint8)), bitorder="little")


def unpack_bits(packed: np.ndarray, width: int, count: int) -> np.ndarray:
    """The first `count` numbers, uint16. `packed` has at least that many bits."""
    bits = np.unpackbits(packed, count=count * width, bitorder="little").reshape(count, width)
    return bits.astype(np.uint16) @ (1 << np.arange(width, dtype=np.uint16))
