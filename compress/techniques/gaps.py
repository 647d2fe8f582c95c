"""Which weights are not zero, told by the gaps between them (Han, Mao & Dally 2016, §2), in the fewest bits.

A symbol of g bits below 2^g − 1 skips so many zeros, and a weight follows; the symbol 2^g − 1 skips 2^g − 1
zeros and nothing follows, for gaps that are longer. With g = 1 that is a bit for every weight, the bit mask:
best while every second weight lives. Where one in 20 does, 5 or 6 bits are best, 6.3 bits a weight beside the
mask's 20. 16-bit columns as in CSR never win: they would be g = 16, and row pointers besides."""

import numpy as np

from ..formats.bits import pack_bits, unpack_bits

WIDEST = 16


def gaps_of(positions: np.ndarray) -> tuple[int, np.ndarray]:
    """(g, the symbols packed to bytes) for rising positions; g is what takes the fewest bits."""
    zeros = np.diff(positions, prepend=-1) - 1
    g = min(range(1, WIDEST + 1), key=lambda g: g * (len(zeros) + int(np.sum(zeros // (2**g - 1)))))
    longest = 2**g - 1
    fillers, rest = zeros // longest, zeros % longest
    symbols = np.full(len(zeros) + int(fillers.sum()), longest, np.uint16)
    symbols[np.cumsum(fillers + 1) - 1] = rest
    return g, pack_bits(symbols, g, fill=1)  # what is left over of the last byte skips zeros too


def positions_of(g: int, packed: np.ndarray) -> np.ndarray:
    """The positions, rising; the inverse of `gaps_of`."""
    symbols = unpack_bits(packed, g, 8 * len(packed) // g).astype(np.int64)
    weights = symbols < 2**g - 1
    return (np.cumsum(symbols + weights) - 1)[weights]
