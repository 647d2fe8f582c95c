"""The library's source of randomness: one NumPy Generator, seeded by nn.manual_seed."""

from __future__ import annotations

import numpy as np

_generator = None


def manual_seed(seed: int | None) -> np.random.Generator:
    """Start the library's random numbers afresh from `seed`, an int (None: unpredictable)."""
    global _generator
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0):
        raise ValueError(f"manual_seed: seed is {seed!r}, wanted an int of at least 0")
    _generator = np.random.default_rng(seed)
    return _generator


def generator() -> np.random.Generator:
    """The Generator that dropout and the initialisers draw from; unpredictable until it is seeded."""
    return _generator if _generator is not None else manual_seed(None)
