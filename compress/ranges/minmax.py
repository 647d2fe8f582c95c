"""The range from the least to the largest number that was seen: nothing is clipped (Jacob et al. 2018)."""

from math import inf
from typing import Any

import numpy as np

from .observer import Observer


class MinMax(Observer, name="minmax"):
    """One large number makes the steps of all others coarse: at few bits, "mse" does better."""

    def __init__(self) -> None:
        self.low, self.high = inf, -inf

    def see(self, x: np.ndarray) -> None:
        low, high = extremes(x)
        self.low, self.high = min(self.low, low), max(self.high, high)

    def range(self, format: Any) -> tuple[float, float]:
        return self.low, self.high


def extremes(x: np.ndarray) -> tuple[float, float]:
    """The least and the largest number of an array."""
    return float(np.minimum.reduce(x, None)), float(np.maximum.reduce(x, None))
