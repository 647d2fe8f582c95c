"""Range coding of what is stored, by asymmetric numeral systems: a symbol costs what it tells, −log₂ p bits.

Duda (2013), "Asymmetric numeral systems", rANS; Giesen (2014) for lanes side by side."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nn.kernels import rans_decode, rans_encode
from nn.kernels.frequencies import BITS, expected_bits, unpack_frequencies
from nn.kernels.frequencies import table as frequencies_of
from nn.kernels.rans import lanes_for

from ..coding import Coding
from .cluster import Cluster
from .prune import Prune
from .quantize import Quantize


@dataclass(frozen=True)
class Rans(Coding):
    """The last stage of a chain: symbols as the digits of a large number, in fractions of a bit.

        Chain([Prune(0.9), Quantize(4), Rans()])

    With frequencies p that are right symbols take the entropy, also where that is less than a bit, as of the
    bits of a mask; four bytes and the table come on top."""

    name = "rans"

    @classmethod
    def samples(cls) -> list[list[Any]]:
        return [[cls()], [Quantize(), cls()], [Prune(0.9), Quantize(4), cls()],
                [Prune(0.8), Cluster(4), cls()]]

    @classmethod
    def table(cls, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """The frequencies of the symbols, of as many digits as pay."""
        if np.count_nonzero(counts) > 1 << BITS:
            return np.zeros(0, np.uint16), np.zeros(0, np.uint8), float("inf")
        frequencies, header = frequencies_of(counts)
        states = 32 * lanes_for(int(counts.sum()))
        return frequencies, header, expected_bits(counts, frequencies) + states

    @classmethod
    def write(cls, symbols: np.ndarray, table: np.ndarray) -> np.ndarray:
        return rans_encode(symbols, table, lanes=lanes_for(len(symbols)))

    @classmethod
    def read_table(cls, header: np.ndarray) -> tuple[np.ndarray, int]:
        return unpack_frequencies(header)

    @classmethod
    def read(cls, data: np.ndarray, table: np.ndarray, count: int) -> np.ndarray:
        return rans_decode(data, table, count, lanes=lanes_for(count))
