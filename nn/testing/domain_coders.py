"""The domains of the entropy coders: symbols of alphabets of every kind, and the data that they become."""

from __future__ import annotations

from functools import partial

import numpy as np
from hypothesis import strategies as st

from ..kernels import huffman_encode, rans_encode
from ..kernels.frequencies import normalized
from ..kernels.prefix_code import code_lengths
from .case import STYLES, Case, near
from .domain import SEEDS, Domain

LENGTHS = near(4, 32, 64, most=97)
LONG = 600    # symbols, with which loops over many come to their end


class Coder(Domain):
    """Symbols (n,) and a table (A,) → data, uint8. It has no rows, columns and inner indices."""

    exact, takes_out = True, False
    m_tiles, n_tiles = (1,), (1,)
    ways: tuple[int, ...]      # how many streams, or lanes, there may be; of long ones the last
    way: str                   # what they are called

    def cases(self) -> st.SearchStrategy[Case]:
        """Alphabets of 1 to 300 symbols: all alike, mostly one, one alone, each half as often as another."""
        sizes = st.sampled_from([1, 2, 3, 16, 17, 40, 256, 300])
        return st.builds(self._make, LENGTHS | st.just(LONG), sizes, st.sampled_from(STYLES),
                         st.sampled_from(self.ways), SEEDS)

    def _make(self, n: int, size: int, style: str, way: int, seed: int) -> Case:
        rng = np.random.default_rng(seed)
        symbols = self.symbols(rng, n, size, style)
        counts = np.bincount(symbols, minlength=size)
        counts[rng.random(size) < 0.1] += 1         # symbols that have a code and never come
        way = self.ways[-1] if n == LONG else way
        return self.case(Case((), {}, seed), symbols, self.table(counts, rng), way)

    @staticmethod
    def symbols(rng: np.random.Generator, n: int, size: int, style: str) -> np.ndarray:
        """n of `size` symbols, in one of four styles; of up to 256 as bytes, now and then."""
        halves = np.minimum(rng.geometric(0.5, n) - 1, size - 1)
        symbols = {"uniform": lambda: rng.integers(0, size, n),
                   "corners": lambda: rng.permutation(size)[halves],
                   "sparse": lambda: rng.integers(0, size, n) * (rng.random(n) < 0.05),
                   "constant": lambda: np.full(n, rng.integers(size))}[style]()
        return symbols.astype(np.uint8 if size <= 256 and rng.random() < 0.3 else np.uint16)

    def table(self, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """What the coder must know of symbols that come so often."""
        return counts

    def case(self, case: Case, symbols: np.ndarray, table: np.ndarray, way: int) -> Case:
        """The call for these symbols."""
        return case.on(symbols, table, **{self.way: way})

    def empties(self, case: Case) -> dict[str, Case]:
        """No symbols; and no alphabet either."""
        table, way = case.args[1], case.options[self.way]
        none = np.empty(0, np.uint16)
        return {"n": self.case(case, none, table, way), "A": self.case(case, none, table[:0], way)}


class HuffmanEncode(Coder):
    """Symbols and the lengths of their codewords → data."""

    name, ways, way = "huffman_encode", (1, 4), "streams"
    encode = staticmethod(huffman_encode)

    def table(self, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Limits from the least possible to the largest."""
        least = max(1, (int(np.count_nonzero(counts)) - 1).bit_length())
        return code_lengths(counts, int(rng.choice([least, max(least, 12), 15])))


class RansEncode(Coder):
    """Symbols and their frequencies → data."""

    name, ways, way = "rans_encode", (1, 4, 32), "lanes"
    encode = staticmethod(rans_encode)

    def table(self, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Sums from the least possible to the largest."""
        least = max(1, (int(np.count_nonzero(counts)) - 1).bit_length())
        return normalized(counts, int(rng.choice([least, 12, 14, 14, 15])))


class Decoder(Coder):
    """Data, the table and n → the symbols."""

    def case(self, case: Case, symbols: np.ndarray, table: np.ndarray, way: int) -> Case:
        """The call that gives these symbols back."""
        data = partial(self.encode.reference, symbols, table)(**{self.way: way})
        return case.on(data, table, n=len(symbols), **{self.way: way})


class HuffmanDecode(Decoder, HuffmanEncode):
    """What huffman_encode has made → symbols."""

    name = "huffman_decode"


class RansDecode(Decoder, RansEncode):
    """What rans_encode has made → symbols."""

    name = "rans_decode"
