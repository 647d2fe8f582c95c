"""How often numbers came, in bins as wide as a power of two: what is kept of data that is too much to keep.

Bin i has the numbers of [i·2ᵉ, (i + 1)·2ᵉ). When the range grows, e does, and two neighbours become one bin:
⌊⌊x/2ᵉ⌋/2⌋ = ⌊x/2ᵉ⁺¹⌋, so that all is as if these bins had been there from the start, whatever came first."""

from math import ceil, log2

import numpy as np

BINS = 2048  # at most; 1024 at least where the range is not a single number
LEAST = -149  # of e: no two float32 numbers are closer


class Histogram:
    """counts, sums: how many numbers each bin has, and their sum, float64; the first is that of the bin
    `first`. Their mean stands for them: 0, of which a ReLU leaves many, stays 0 if it is alone in its bin."""

    def __init__(self) -> None:
        self.low, self.high = 0.0, 0.0  # of all, and 0
        self.exponent, self.first = LEAST, 0
        self.counts, self.sums = np.zeros(1), np.zeros(1)

    def add(self, x: np.ndarray) -> None:
        """Count finite numbers of any shape."""
        x = x.reshape(-1).astype(np.float64)
        self.low, self.high = min(self.low, float(x.min())), max(self.high, float(x.max()))
        width = self.high - self.low
        exponent = max(LEAST, ceil(log2(width / (BINS - 2)))) if width else LEAST
        old = np.arange(self.first, self.first + len(self.counts)) >> min(exponent - self.exponent, 62)
        bins = np.floor(x * 2.0**-exponent).astype(np.int64)
        self.exponent, self.first = exponent, int(np.floor(self.low * 2.0**-exponent))
        size = int(np.floor(self.high * 2.0**-exponent)) + 1 - self.first
        self.counts, self.sums = (
            np.bincount(old - self.first, before, size) + np.bincount(bins - self.first, now, size)
            for before, now in ((self.counts, None), (self.sums, x)))

    def points(self) -> tuple[np.ndarray, np.ndarray]:
        """The mean of each bin that has numbers, float32, rising, and how many these are."""
        there = self.counts > 0
        return (self.sums[there] / self.counts[there]).astype(np.float32), self.counts[there]
