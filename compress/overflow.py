"""How large a sum of products can become: exactly, from the weights and from the codes that they meet.

A column of weights w_k meets codes x_k, each of which may be anything in low_k … high_k. A product is largest
at one end of its range, and a sum of products where every one of them is:

    max Σ w_k·x_k = Σ max(w_k·low_k, w_k·high_k),     min Σ w_k·x_k = Σ min(w_k·low_k, w_k·high_k)

The codes do not depend on each other, so both are reached: a sum fits into so many bits for every input if
and only if these two do, and where one does not, the input that overflows can be written down. (With codes
0…255 the maximum is 255 times the sum of the positive weights.)

Two sums have to fit. The int32 sum of a layer, Σ (x − zero)·w + bias, in whatever order a kernel adds it up:
kernels multiply x as it is and subtract zero·Σw afterwards, and what overflows on the way does no harm, since
addition modulo 2³² comes out right if the final value fits. And where a kernel has no vpdpbusd, the int16
sums of vpmaddubsw, which are cut off at ±2¹⁵ and do not come right again: the products of two neighbours in k
(saturation.py), and as many of those as are added in 16 bits before they are widened, the fold interval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf, log2
from typing import Any

import numpy as np

STEP = 4  # weights of a column that lie together when they are packed: two pairs, two lanes of int16


def limits(bits: int) -> tuple[int, int]:
    """The least and the greatest signed integer of so many bits."""
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def largest_k(weight: int = 127, code: int = 255, bias: int = 0, bits: int = 32) -> int:
    """How many products always fit: the largest K with K·weight·code + |bias| < 2^(bits − 1).

    weight, code: the largest magnitudes of the factors, x − zero for the code; bits: of the sum. 66,311 for
    weights in ±127, 65,793 with −128; half of `bits=16` is how many sums of vpmaddubsw may be added, 9 for
    weights in ±7. Negative if the bias alone does not fit. Raises ValueError unless weight and code are
    positive."""
    if weight < 1 or code < 1:
        raise ValueError(f"largest_k: weight and code must be positive; got {weight} and {code}")
    return (limits(bits)[1] - abs(bias)) // (weight * code)


@dataclass(frozen=True, eq=False)
class Sums:
    """The sums of one kind in a layer: whether all of them fit into so many bits, for every input.

    worst: the value with the least room that any of them can take, exactly; limit: the least or the greatest
    integer of `bits` bits, whichever is on its side. column: whose sum it is (None if there is no column); k:
    what it sums over. counter_input: codes for which it takes that value, None where it fits."""

    bits: int
    worst: int
    column: int | None
    k: Sequence[int]
    counter_input: np.ndarray | None = None

    @property
    def limit(self) -> int:
        """What `bits` bits hold at most, on the side of the worst sum."""
        return limits(self.bits)[self.worst >= 0]

    @property
    def room(self) -> int:
        """How much more would fit; negative where the worst sum does not."""
        return abs(self.limit) - abs(self.worst)

    @property
    def holds(self) -> bool:
        """Whether every sum fits."""
        return self.room >= 0

    @property
    def headroom(self) -> float:
        """The same in bits, log₂(limit / worst): 1 if sums could be twice as large."""
        return log2(abs(self.limit) / abs(self.worst)) if self.worst else inf

    def __bool__(self) -> bool:
        return self.holds

    def __str__(self) -> str:
        if self.column is None:
            return "there are no sums"
        end, fits = "at most" if self.worst >= 0 else "at least", "and" if self.holds else "but"
        over = ", ".join(map(str, self.k)) if len(self.k) < 5 else f"{self.k[0]} … {self.k[-1]}"
        return (f"a sum of {len(self.k):,} products, in column {self.column} over k = {over}, reaches "
                f"{self.worst:,}, {fits} int{self.bits} holds {end} {self.limit:,}")


def int32_sums(w: np.ndarray, low: Any, high: Any, zero: int, bias: np.ndarray | None = None) -> Sums:
    """The sums Σ (x − zero)·w + bias of w (K, N), integers, for codes x in low…high, each a number or (K,).

    bias: (N,) integers. The counter-input is the row of codes (K,)."""
    rising, falling = np.maximum(w, 0), np.minimum(w, 0)
    low_end, high_end = (np.asarray(end, np.int64) - zero for end in (low, high))
    added = 0 if bias is None else bias.astype(np.int64)
    least = _weighted(low_end, rising) + _weighted(high_end, falling) + added
    greatest = _weighted(high_end, rising) + _weighted(low_end, falling) + added
    worst, up, (column,) = _worst(32, least, greatest)
    return _sums(32, worst, column, range(len(w)), w, low, high, up)


def int16_sums(w: np.ndarray, low: Any, high: Any, fold: int = 1) -> Sums:
    """The sums that vpmaddubsw makes of w (K, N) and codes in low…high, which are 0 … 255, `fold` of them
    added in 16 bits: of step after step of four k its first pair, or its second.

    What does not fill a step, or `fold` steps, is filled up with zeros. Where two or more are added, each sum
    has to fit by itself too, because vpmaddubsw saturates. (vpaddw adds modulo 2¹⁶, so of what is added only
    the end has to fit; with codes from 0 on the sums between lie between 0 and the end.)

    The counter-input is the row of codes (K,) with the lowest ones wherever that sum does not look."""
    found = []
    for length in sorted({1, fold}):
        least, greatest = (_windows(each, length) for each in _pairs(w, low, high))
        worst, up, (window, lane, column) = _worst(16, least, greatest, axes=3)
        if column is None:
            return Sums(16, 0, None, ())
        steps = range(length * window, min(length * (window + 1), -(-len(w) // STEP)))
        k = [k for s in steps for k in (STEP * s + 2 * lane, STEP * s + 2 * lane + 1) if k < len(w)]
        found.append(_sums(16, worst, column, k, w, low, high, up))
    return min(found, key=lambda sums: sums.room)


def folds(w: np.ndarray, low: Any, high: Any) -> np.ndarray:
    """For which intervals f the int16 sums fit: booleans, of f = 1, 2, … up to all steps of K at entry f − 1.

    f fits if every window of f steps that begins at a multiple of f does, in either lane of every column. The
    largest that fits need not be the first before one that does not: longer windows begin elsewhere."""
    steps = -(-len(w) // STEP)
    fits = np.ones(steps, bool)
    for end, limit in zip(_pairs(w, low, high), limits(16), strict=True):
        end *= 1 if limit > 0 else -1
        fits &= bool((end <= abs(limit)).all())  # each by itself, because vpmaddubsw saturates
        total = np.zeros((steps + 1, *end.shape[1:]), np.int32 if len(w) <= largest_k(128) else np.int64)
        np.cumsum(end, axis=0, out=total[1:])
        for f in np.flatnonzero(fits) + 1:
            windows = total[[*range(f, steps, f), steps]] - total[0:steps:f]
            fits[f - 1] = bool((windows <= abs(limit)).all())
    return fits


def saturating_pairs(w: np.ndarray, low: Any = 0, high: Any = 255) -> float:
    """The share of the sums of vpmaddubsw that some input makes saturate."""
    least, greatest = _pairs(w, low, high)
    saturate = (least < limits(16)[0]) | (greatest > limits(16)[1])
    count = -(-len(w) // 2) * w.shape[1]  # of pairs with a weight in them
    return int(saturate.sum()) / count if count else 0.0


def _weighted(codes: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Σ codes·w for each column, int64; codes, one or (K,), are mostly all the same."""
    if codes.size and (codes == codes.flat[0]).all():
        return codes.flat[0] * w.sum(axis=0, dtype=np.int64)
    return codes @ w


def _pairs(w: np.ndarray, low: Any, high: Any) -> Iterator[np.ndarray]:
    """The least and the greatest sum of each pair of neighbours in k: (steps, 2, N) each."""
    size, w = len(w), np.pad(np.ascontiguousarray(w, np.int32), ((0, -len(w) % STEP), (0, 0)))
    low, high = (np.pad(np.broadcast_to(np.asarray(end, np.int32), size), (0, len(w) - size))[:, None]
                 for end in (low, high))
    at_low, at_high = w * low, w * high
    for choose in (np.minimum, np.maximum):
        products = choose(at_low, at_high).reshape(len(w) // STEP, 2, 2, w.shape[1])
        yield products[:, :, 0] + products[:, :, 1]


def _windows(pairs: np.ndarray, length: int) -> np.ndarray:
    """Their sums over windows of `length` steps: (windows, 2, N)."""
    if length == 1:
        return pairs
    missing = -len(pairs) % length
    whole = np.concatenate([pairs, np.zeros((missing, *pairs.shape[1:]), pairs.dtype)])
    return whole.reshape(len(whole) // length, length, *pairs.shape[1:]).sum(axis=1, dtype=np.int64)


def _worst(bits: int, least: np.ndarray, greatest: np.ndarray, axes: int = 1
           ) -> tuple[int, bool, tuple[int | None, ...]]:
    """Of all these sums the one with the least room, whether it is a greatest one, and its place."""
    if not least.size:
        return 0, True, (None,) * axes
    low_end, high_end = limits(bits)
    down, up = np.unravel_index(least.argmin(), least.shape), np.unravel_index(greatest.argmax(), least.shape)
    below, above = int(least[down]), int(greatest[up])
    if high_end - above <= below - low_end:
        return above, True, tuple(map(int, up))
    return below, False, tuple(map(int, down))


def _sums(bits: int, worst: int, column: int | None, k: Sequence[int], w: np.ndarray, low: Any, high: Any,
          up: bool) -> Sums:
    """Sums, with the codes for which the sum over these k is greatest, or least, if it does not fit."""
    sums = Sums(bits, worst, column, k)
    if sums.holds:
        return sums
    low, high = (np.broadcast_to(np.asarray(end, np.int16), len(w)) for end in (low, high))
    row, k = low.copy(), list(k)
    rising = (w[k, column] > 0) == up
    row[k] = np.where(rising, high[k], low[k])
    return replace(sums, counter_input=row)
