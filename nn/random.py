"""The library's source of randomness: one NumPy Generator, seeded by nn.manual_seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

_generator = None


def manual_seed(seed: int | None) -> np.random.Generator:
    """Start the library's random numbers afresh from `seed`, an int (None: unpredictable).

    Raises ValueError for anything else.
    """
    global _generator
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0):
        raise ValueError(f"manual_seed: seed is {seed!r}, wanted an int of at least 0")
    _generator = np.random.default_rng(seed)
    return _generator


def generator() -> np.random.Generator:
    """The Generator that dropout and the initialisers draw from; unpredictable until it is seeded."""
    return _generator if _generator is not None else manual_seed(None)


def state() -> dict[str, Any]:
    """Where the library's Generator stands."""
    return generator().bit_generator.state


@contextmanager
def replayed(earlier: dict[str, Any]) -> Iterator[None]:
    """Inside, the numbers that were drawn after `earlier = state()`, once more; afterwards all goes on as if
    nothing had been drawn."""
    global _generator
    ours = generator()
    now, ours.bit_generator.state = ours.bit_generator.state, earlier
    try:
        yield
    finally:
        _generator = ours    # should manual_seed have been called inside
        ours.bit_generator.state = now
