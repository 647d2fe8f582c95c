"""Prefix codes of limited length: the lengths by package-merge, canonical codewords, a header of few bytes.

A canonical code is known by its lengths: codewords rise with the length and, of equal ones, with the symbol.
All here is complete, Σ 2^−length = 1 (Kraft 1949), so that every stream of bits is a stream of codewords; but
for one symbol alone, whose codeword is the bit 0.
"""

import numpy as np

from .arguments import INTEGERS, U8, array, integer
from .elias import Reader, gamma, signed, to_bytes, unsigned

LIMIT = 15        # bits of the longest codeword
USUAL = 12        # the limit that is used: a decoder's table then has 4096 entries, which L1 holds
MOST = 1 << 16    # symbols of an alphabet
FIRST = 8         # the length that the header's first one is compared with
RUN = 4           # in the header, the code that says: symbols follow that have no codeword


def code_lengths(counts: np.ndarray, limit: int = USUAL) -> np.ndarray:
    """The lengths of the best prefix code with no codeword over `limit` bits: integers (A,) → uint8 (A,).

    counts: how often each symbol comes; one that never does has length 0, that is, no codeword. Package-merge
    (Larmore & Hirschberg 1990): there are coins of value 2^−1 … 2^−limit for each symbol, of price its count,
    and what is looked for are coins of total value m − 1, of m symbols, at the least price; a symbol's length
    is how many of its coins are among them. From the least value up, all coins of a value are paired with
    their neighbours in price, and the pairs are coins of the next value. The Σ counts · lengths is the least
    there is, less than one bit a symbol above the entropy where the limit does not bind. Raises ValueError
    where there are more symbols than `limit` bits can tell apart.
    """
    counts, limit = as_counts("code_lengths", counts), integer("code_lengths", "limit", limit, 1, LIMIT)
    lengths, present = np.zeros(len(counts), U8), np.flatnonzero(counts)
    if len(present) > 1 << limit:
        raise ValueError(f"code_lengths: limit must be at least {(len(present) - 1).bit_length()} for "
                         f"{len(present)} symbols, got {limit}")
    if len(present) < 2:
        lengths[present] = 1
        return lengths
    order = present[np.argsort(counts[present], kind="stable")]
    coins = prices = counts[order]
    single = [np.ones(len(coins), bool)]  # of each value, from the least: which coins are no pairs
    for _ in range(limit - 1):
        pairs = len(prices) // 2 * 2
        prices = np.concatenate([coins, prices[0:pairs:2] + prices[1:pairs:2]])
        by_price = np.argsort(prices, kind="stable")
        prices = prices[by_price]
        single.append(by_price < len(coins))
    taken = 2 * len(coins) - 2
    for is_single in single[::-1]:
        symbols = int(np.count_nonzero(is_single[:taken]))
        lengths[order[:symbols]] += U8.type(1)
        taken = 2 * (taken - symbols)
    return lengths


def as_counts(who: str, counts: np.ndarray) -> np.ndarray:
    """Counts as int64; raises TypeError and ValueError for what are none."""
    counts = array(who, "counts", counts, 1, *INTEGERS)
    if len(counts) > MOST:
        raise ValueError(f"{who}: counts must be of at most {MOST} symbols, got {len(counts)}")
    if len(counts) and (counts.min() < 0 or counts.max() >= 1 << 40):
        raise ValueError(f"{who}: counts must be in 0..2^40 − 1, got {counts.min()}..{counts.max()}")
    return counts.astype(np.int64)


def check_lengths(who: str, lengths: np.ndarray) -> int:
    """Raise ValueError unless these are the lengths of a complete code; returns the longest."""
    if len(lengths) > MOST:
        raise ValueError(f"{who}: lengths must be of at most {MOST} symbols, got {len(lengths)}")
    per_length = np.bincount(lengths, minlength=LIMIT + 1)
    if len(per_length) > LIMIT + 1:
        raise ValueError(f"{who}: lengths must be at most {LIMIT}, got {len(per_length) - 1}")
    used = int(per_length[1:].sum())
    kraft = int(sum(int(count) << LIMIT - bits for bits, count in enumerate(per_length) if bits))
    if kraft != 1 << LIMIT and used and not (used == 1 and per_length[1]):
        raise ValueError(f"{who}: lengths must make a complete code, Σ 2^−length = 1, or be 1 for one symbol "
                         f"alone, got Σ = {kraft / (1 << LIMIT):g} of {used} symbols")
    return int(np.flatnonzero(per_length).max(initial=0))


def codewords(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The symbols in the order of their codewords, and these: each int64, (symbols,)."""
    symbols = np.flatnonzero(lengths)
    symbols = symbols[np.argsort(lengths[symbols], kind="stable")]
    room = np.int64(1) << LIMIT - lengths[symbols].astype(np.int64)  # that a codeword takes of 2^LIMIT
    return symbols, (np.cumsum(room) - room) >> LIMIT - lengths[symbols].astype(np.int64)


def pack_lengths(lengths: np.ndarray) -> np.ndarray:
    """The lengths of a code as a header: uint8 (A,) → uint8 (bytes,).

    Gamma codes (elias.py): one more than the symbols up to the last that has a codeword; then for each of
    these how its length differs from that of the last one before that had a codeword (at first 8): 0, 1, −1
    are the codes 1, 2, 3; 2, −2, 3, … are 5, 6, 7, …; and 4 says that symbols without a codeword follow, as
    many as the next code. Lengths of neighbours are alike where counts are, as those of weights are.
    """
    who = "pack_lengths"
    lengths = array(who, "lengths", lengths, 1, U8)
    check_lengths(who, lengths)
    present = np.flatnonzero(lengths)
    bits, before, at = [gamma(int(present.max(initial=-1)) + 2)], FIRST, 0
    for symbol, length in zip(present.tolist(), lengths[present].tolist(), strict=True):
        if symbol > at:
            bits += gamma(RUN), gamma(symbol - at)
        code = signed(length - before)
        bits.append(gamma(code + (code >= RUN)))
        before, at = length, symbol + 1
    return to_bytes("".join(bits))


def unpack_lengths(header: np.ndarray, symbols: int | None = None) -> tuple[np.ndarray, int]:
    """The lengths, uint8 (symbols,), or up to the last that is not 0, and how many bytes of header they took.

    Raises ValueError for what `pack_lengths` has not made, or where there are more symbols than that."""
    who = "unpack_lengths"
    read = Reader(who, array(who, "header", header, 1, U8))
    last = read.gamma() - 1
    size = last if symbols is None else integer(who, "symbols", symbols, 0, MOST)
    if last > min(size, MOST):
        raise read.wrong(f"is of {last} symbols, wanted at most {min(size, MOST)}")
    lengths, at, before = np.zeros(size, U8), 0, FIRST
    while at < last:
        code = read.gamma()
        if code == RUN:
            at += read.gamma()
            if at >= last:
                raise read.wrong(f"goes beyond its {last} symbols")
            code = read.gamma()
            if code == RUN:
                raise read.wrong("has one run of symbols behind another")
        before += unsigned(code - (code > RUN))
        if not 1 <= before <= LIMIT:
            raise read.wrong(f"has a length that is not in 1..{LIMIT}, {before}")
        lengths[at] = before
        at += 1
    check_lengths(who, lengths)
    return lengths, read.end()
