"""How often symbols come, as the entropy coders have it: frequencies that add up to a power of two, their
header of few bytes, and the bound that no code is below."""

import numpy as np

from .arguments import U8, U16, array, integer
from .elias import Reader, gamma, signed, to_bytes, unsigned
from .prefix_code import MOST, RUN, as_counts

BITS = 14         # the sum of frequencies is 2^14 where nothing else is said: a share is right to 1/16384
MOST_BITS = 15    # so that a frequency, which may be the sum, is a uint16


def entropy(counts: np.ndarray) -> float:
    """Σ counts · log₂(total / counts), the bits of symbols that come so often. Integers (A,) → float.

    No code that knows of the symbols but their counts takes fewer bits (Shannon 1948)."""
    counts = as_counts("entropy", counts)
    counts = counts[counts > 0]
    return float(np.sum(counts * np.log2(counts.sum() / counts))) if len(counts) else 0.0


def expected_bits(counts: np.ndarray, frequencies: np.ndarray) -> float:
    """Σ counts · log₂(sum / frequencies): the bits of rANS with these frequencies, but for its states.

    (Of a prefix code that is Σ counts · lengths.) It exceeds the entropy by what the frequencies are off."""
    counts = as_counts("expected_bits", counts)
    there = counts > 0
    shares = np.asarray(frequencies, np.float64)
    return float(np.sum(counts[there] * np.log2(shares.sum() / shares[there]))) if there.any() else 0.0


def normalized(weights: np.ndarray, bits: int = BITS) -> np.ndarray:
    """Frequencies that are as weights are, but add up to 2^bits: integers (A,) → uint16 (A,).

    Each is weight · 2^bits / Σ, rounded down, but at least 1 where the weight is not 0; what is missing then
    goes to those that lost most by rounding, and what is too much is taken from the largest, one by one; of
    equals the first. All is in integers, so that a decoder finds the same. Weights that add up to 2^bits stay
    as they are. Raises ValueError where there are more than 2^bits symbols.
    """
    who = "normalized"
    weights, bits = as_counts(who, weights), integer(who, "bits", bits, 1, MOST_BITS)
    found, present = np.zeros(len(weights), U16), np.flatnonzero(weights)
    if not len(present):
        return found
    if len(present) > 1 << bits:
        raise ValueError(f"{who}: bits must be at least {(len(present) - 1).bit_length()} for {len(present)} "
                         f"symbols, got {bits}")
    own, total = weights[present], int(weights.sum())
    shares, rests = own * (1 << bits) // total, own * (1 << bits) % total
    shares = np.maximum(shares, 1)
    missing = (1 << bits) - int(shares.sum())
    if missing > 0:
        shares[np.argsort(-rests, kind="stable")[:missing]] += 1
    else:
        _take(shares, -missing)
    found[present] = shares
    return found


def _take(shares: np.ndarray, count: int) -> None:
    """Take `count` from the shares, each time from the largest, of equals from the first."""
    level = _level(shares, count)                       # down to which all of them are taken
    taken = np.maximum(shares - level, 0)
    shares -= taken
    at_level = np.flatnonzero((shares == level) & (level > 1))
    shares[at_level[:count - int(taken.sum())]] -= 1


def _level(shares: np.ndarray, count: int) -> int:
    """The least level that no more than `count` lie above."""
    low, high = 1, int(shares.max())
    while low < high:
        middle = (low + high) // 2
        if int(np.maximum(shares - middle, 0).sum()) <= count:
            high = middle
        else:
            low = middle + 1
    return low


def table(counts: np.ndarray, bits: int = BITS) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies for symbols that come so often, and their header: uint16 (A,), uint8 (bytes,).

    A header with all digits of the frequencies is long beside few symbols. So it has only as many binary
    digits of each, the leading ones, as make header and symbols together the shortest.
    """
    counts = as_counts("table", counts)
    exact, best, least = normalized(counts, bits), None, np.inf
    for digits in range(bits + 1):
        header = pack_frequencies(exact, digits)
        frequencies = exact if digits == bits else unpack_frequencies(header, len(counts))[0]
        total = 8 * len(header) + expected_bits(counts, frequencies)
        if total < least:
            best, least = (frequencies, header), total
        if not exact.any():
            break
    return best


def pack_frequencies(frequencies: np.ndarray, digits: int = BITS) -> np.ndarray:
    """Frequencies (A,), whose sum is a power of two, as a header: uint8 (bytes,).

    Gamma codes (elias.py) of log₂ of the sum plus 1, of `digits` plus 1, of the symbols up to the last that
    has a frequency, plus 1; then for each of these the code of ⌊log₂ frequency⌋ less that of the one before
    (at first 0), with runs of symbols without a frequency as in `prefix_code.pack_lengths`, and the `digits`
    binary digits behind the frequency's first, or as many as there are. What is read are these numbers,
    rounded to so many digits, `normalized`: the same again, if no digit is lost.
    """
    who = "pack_frequencies"
    bits = check_frequencies(who, array(who, "frequencies", frequencies, 1, U16))
    digits = integer(who, "digits", digits, 0, MOST_BITS)
    present = np.flatnonzero(frequencies)
    written = [gamma(bits + 1), gamma(digits + 1), gamma(int(present.max(initial=-1)) + 2)]
    before, at = 0, 0
    for symbol, frequency in zip(present.tolist(), frequencies[present].tolist(), strict=True):
        lost = max(frequency.bit_length() - 1 - digits, 0)
        rounded = (frequency + (1 << lost >> 1)) >> lost << lost
        power = rounded.bit_length() - 1
        if symbol > at:
            written += gamma(RUN), gamma(symbol - at)
        code = signed(power - before)
        kept = min(power, digits)
        rest = rounded - (1 << power) >> power - kept
        written += gamma(code + (code >= RUN)), f"{rest:0{kept}b}" if kept else ""
        before, at = power, symbol + 1
    return to_bytes("".join(written))


def unpack_frequencies(header: np.ndarray, symbols: int | None = None) -> tuple[np.ndarray, int]:
    """The frequencies, uint16 (symbols,), or up to the last that is not 0, and how many bytes of the header
    they took. Raises ValueError for what `pack_frequencies` has not made, or for more symbols than that."""
    who = "unpack_frequencies"
    read = Reader(who, array(who, "header", header, 1, U8))
    bits, digits, last = (read.gamma() - 1 for _ in range(3))
    size = last if symbols is None else integer(who, "symbols", symbols, 0, MOST)
    if bits > MOST_BITS or digits > MOST_BITS:
        raise read.wrong(f"says that there are {bits} bits, {digits} digits, wanted at most {MOST_BITS}")
    if last > min(size, MOST):
        raise read.wrong(f"is of {last} symbols, wanted at most {min(size, MOST)}")
    weights, at, before = np.zeros(size, np.int64), 0, 0
    while at < last:
        code = read.gamma()
        if code == RUN:
            at += read.gamma()
            code = read.gamma()
            if at >= last or code == RUN:
                raise read.wrong(f"has a run of symbols that goes beyond its {last}, or is behind another")
        before += unsigned(code - (code > RUN))
        if not 0 <= before <= MOST_BITS:
            raise read.wrong(f"has a frequency that is not in 1..{1 << MOST_BITS}")
        kept = min(before, digits)
        weights[at] = (1 << kept) + read.number(kept) << before - kept
        at += 1
    if np.count_nonzero(weights) > 1 << bits or (last and not bits):
        raise read.wrong(f"has more symbols than frequencies that add up to 2^{bits}")
    return normalized(weights, max(bits, 1)), read.end()


def check_frequencies(who: str, frequencies: np.ndarray) -> int:
    """log₂ of the sum of frequencies (A,); ValueError where that is no power of two in 2 … 2^15, or is 0."""
    if len(frequencies) > MOST:
        raise ValueError(f"{who}: frequencies must be of at most {MOST} symbols, got {len(frequencies)}")
    total = int(frequencies.sum(dtype=np.int64))
    if total & total - 1 or total == 1 or total > 1 << MOST_BITS:
        raise ValueError(f"{who}: frequencies must add up to a power of two in 2..{1 << MOST_BITS}, or be "
                         f"all 0, got {total}")
    return max(total.bit_length() - 1, 0)
