"""The relative index of Deep Compression: gaps between the weights that are not zero, in few bits each."""

from math import prod
from typing import Any

import numpy as np

from nn.kernels import spmm_csr

from ..formats.bits import pack_bits, unpack_bits
from ..stored import Part
from .form import Found, SparseForm

WIDEST = 16  # bits of a symbol that tells of gaps
GAPS = {"gaps": Part("indices", np.uint8, (None,)), "width": Part("tables", np.uint8, (1,))}


class GapsWeight(SparseForm):
    """The values, and a symbol of `width` bits for each, and for each filler; the width that takes fewest."""

    kind = "gaps"
    parts = {"values": Part("payload", np.float32, (None,)), **GAPS}
    kernel = spmm_csr

    @classmethod
    def made(cls, positions: np.ndarray, values: np.ndarray, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        width, gaps = gaps_of(positions)
        return {"values": values, "gaps": gaps, "width": np.array([width], np.uint8)}

    @classmethod
    def symbol_bits(cls, held: Any) -> dict[str, int]:
        return {"gaps": int(held["width"][0])}

    def check(self, who: str) -> None:
        count, stored = len(checked_positions(who, self.held, prod(self.shape))), len(self.held["values"])
        if count != stored:
            raise ValueError(f"{who}: its gaps lead to {count} weights, {stored} are stored")
        super().check(who)

    def found(self) -> Found:
        return positions_of(int(self.held["width"][0]), self.held["gaps"]), self.held["values"]


def gaps_of(positions: np.ndarray) -> tuple[int, np.ndarray]:
    """Which weights are not zero, by the gaps between them (Han, Mao & Dally 2016, §2): (g, the symbols of g
    bits packed to bytes) for rising positions; g is what takes the fewest bits.

    A symbol below 2^g − 1 skips so many zeros, and a weight follows; the symbol 2^g − 1 skips 2^g − 1 zeros
    and nothing follows, for gaps that are longer. With g = 1 that is a bit for every weight, the bit mask:
    best while every second weight lives. Where one in 20 does, 5 or 6 bits are best, 6.3 bits a weight beside
    the mask's 20. 16-bit columns as in CSR never win: they would be g = 16, and row pointers besides."""
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


def checked_positions(who: str, held: dict[str, np.ndarray], count: int) -> np.ndarray:
    """The positions that these gaps lead to. Raises ValueError, beginning with `who`, where the width is none
    or they lead beyond the last of `count`, or are not written in the only way."""
    width, gaps = int(held["width"][0]), held["gaps"]
    if not 1 <= width <= WIDEST:
        raise ValueError(f"{who}: width must be in 1…{WIDEST}; got {width}")
    positions = positions_of(width, gaps)
    if len(positions) and positions[-1] >= count:
        raise ValueError(f"{who}: its gaps lead to weight {positions[-1]}, beyond the last")
    g, again = gaps_of(positions)
    if g != width or not np.array_equal(again, gaps):
        raise ValueError(f"{who}: its gaps are not written as they must be")
    return positions
