"""The moving average of the least and the largest number of each batch (Krishnamoorthi 2018, §3.1.2): what
only few batches reach does not stretch the range, and is clipped."""

from typing import Any

import numpy as np

from .minmax import extremes
from .observer import Observer


class Average(Observer, name="average"):
    """The first batch gives the range, later ones move it by `momentum`. An average that began with 0 would
    have a range too small by (1 − momentum)ⁿ after n batches."""

    rows = 32
    momentum = 0.1

    def __init__(self) -> None:
        self.ends: tuple[float, float] | None = None

    def see(self, x: np.ndarray) -> None:
        ends = extremes(x)
        self.ends = ends if self.ends is None else moved(self.ends, ends, self.momentum)

    def range(self, format: Any) -> tuple[float, float]:
        return self.ends


def moved(average: tuple[float, float], now: tuple[float, float], momentum: float) -> tuple[float, float]:
    """A range that moves towards that of now: a + momentum · (now − a) at both ends."""
    (low, high), (lowest, highest) = average, now
    return low + momentum * (lowest - low), high + momentum * (highest - high)
