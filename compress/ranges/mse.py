"""The range whose grid has the least mean squared error: what clipping the largest numbers costs against what
finer steps win for all others (Banner, Nahshan & Soudry 2019, "ACIQ", §3; here found by trying)."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from .histogram import Histogram
from .observer import Observer

COARSE, FINE = 16, 8  # tenths, so to say, of each end of the range, and then of these


class LeastSquares(Observer, name="mse"):
    """The best range for a histogram of all that was seen."""

    def __init__(self) -> None:
        self.histogram = Histogram()

    def see(self, x: np.ndarray) -> None:
        self.histogram.add(x)

    def range(self, format: Any) -> tuple[float, float]:
        return best_range(*self.histogram.points(), format)


def best_range(values: np.ndarray, counts: np.ndarray, format: Any) -> tuple[float, float]:
    """Of the ranges in that of `values`, float32 (n,), the one whose grid has the least Σ counts·(v − v̂)².

    Both ends are tried at all sixteenths of what they are, in every pair, then around the best pair at an
    eighth of that. An end that is 0 stays: each grid has a 0. Of equal errors the widest range is taken."""
    low, high = min(float(values[0]), 0.0), max(float(values[-1]), 0.0)
    tried: dict[tuple[float, float], float] = {}

    def error(ends: tuple[float, float]) -> float:
        """The squared error with the range (f·low, g·high)."""
        if ends not in tried:
            grid = format.fit(ends[0] * low, ends[1] * high)
            off = grid.dequantize(grid.quantize(values)) - values
            tried[ends] = float(counts @ np.square(off, dtype=np.float64))
        return tried[ends]

    best = min(product(_parts(low, 1.0, 1 / COARSE, COARSE), _parts(high, 1.0, 1 / COARSE, COARSE)),
               key=error)
    around = (_parts(end, min(at + 1 / COARSE, 1.0), 1 / COARSE / FINE, 2 * FINE)
              for end, at in zip((low, high), best, strict=True))
    below, above = min((best, *product(*around)), key=error)
    return below * low, above * high


def _parts(end: float, most: float, step: float, count: int) -> Iterator[float]:
    """most, most − step, … so many, as far as they are positive; 1 alone for an end that is 0."""
    return (most - i * step for i in range(count if end else 1) if most > i * step)
