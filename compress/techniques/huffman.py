"""Huffman coding of what is stored: the more frequent a symbol, the fewer bits its codeword has.

Huffman (1952), "A Method for the Construction of Minimum-Redundancy Codes"; Han, Mao & Dally (2016), §4, for
the codes of shared weights and the gaps between them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nn.kernels import huffman_decode, huffman_encode
from nn.kernels.huffman import streams_for
from nn.kernels.prefix_code import LIMIT, USUAL, code_lengths, pack_lengths, unpack_lengths

from ..coding import Coding
from .cluster import Cluster
from .prune import Prune
from .quantize import Quantize


@dataclass(frozen=True)
class Huffman(Coding):
    """The last stage of a chain: symbols as codewords, prefix-free and of whole bits.

        Chain([Prune(0.92), Cluster(6), Huffman()])     # Deep Compression

    A symbol takes at least a bit, and less than one bit above the entropy in the mean; of narrow symbols, as
    the bits of a mask are, up to eight are taken as one. The codewords are canonical, so that their lengths
    tell them, and have at most 12 bits (15 where there are so many symbols): a table finds them."""

    name = "huffman"

    @classmethod
    def samples(cls) -> list[list[Any]]:
        return [[cls()], [Cluster(2), cls()], [Prune(0.9), Cluster(3), cls()],
                [Prune(0.7), Quantize(4), cls()],
                [Prune(0.8), Cluster(3, activations="int8-dynamic"), cls()]]

    @classmethod
    def table(cls, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """The lengths of the codewords."""
        used = int(np.count_nonzero(counts))
        if used > 1 << LIMIT:
            return np.zeros(0, np.uint8), np.zeros(0, np.uint8), float("inf")
        lengths = code_lengths(counts, USUAL if used <= 1 << USUAL else LIMIT)
        return lengths, pack_lengths(lengths), float(counts @ lengths)

    @classmethod
    def write(cls, symbols: np.ndarray, table: np.ndarray) -> np.ndarray:
        return huffman_encode(symbols, table, streams=streams_for(len(symbols)))

    @classmethod
    def read_table(cls, header: np.ndarray) -> tuple[np.ndarray, int]:
        return unpack_lengths(header)

    @classmethod
    def read(cls, data: np.ndarray, table: np.ndarray, count: int) -> np.ndarray:
        return huffman_decode(data, table, count, streams=streams_for(count))
