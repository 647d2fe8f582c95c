"""What an observer is: it sees the batches of one value, and says which range a grid of it is to cover.

    class Middle(Observer, name="middle"):          # in a file of this folder: that is all
        def see(self, x): ...
        def range(self, format): ...

It registers itself by being defined; `Quantize(ranges="middle")` then finds ranges by it."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from nn.registration import register

OBSERVERS: dict[str, type[Observer]] = {}  # by name


class Observer:
    """The range of one value of a network. An observer is made for each, and is shown its batches in turn.

    name: what `Quantize(ranges=...)` calls it. rows: how many examples of the calibration data are a batch of
    it. A subclass writes `see` and `range`; TypeError if another has its
    name."""

    name: ClassVar[str]
    rows: ClassVar[int] = 256

    def __init_subclass__(cls, *, name: str) -> None:
        cls.name = name
        register(OBSERVERS, name, cls, "the observer")

    def see(self, x: np.ndarray) -> None:
        """One more batch of the value: float32 of any shape, finite, at least one number."""

    def range(self, format: Any) -> tuple[float, float]:
        """The range (low, high) of all that was seen, for a grid of the Format `format`."""

    @classmethod
    def of_batch(cls, x: np.ndarray, format: Any) -> tuple[float, float]:
        """The range of one batch by itself: in training, ranges follow it as moving averages."""
        alone = cls()
        alone.see(x)
        return alone.range(format)


def observer_named(name: Any) -> type[Observer]:
    """The Observer of this name. Raises ValueError, naming those that there are, where there is none."""
    if not isinstance(name, str) or name not in OBSERVERS:
        raise ValueError(f"Quantize: ranges must be one of {', '.join(OBSERVERS)}; got {name!r:.80}")
    return OBSERVERS[name]
