"""The library's source of randomness: one NumPy Generator, seeded by nn.manual_seed."""

import numpy as np

_generator = None


def manual_seed(seed):
    """Start the library's random numbers afresh from `seed` (a non-negative int); returns the Generator."""
    global _generator
    _generator = np.random.default_rng(seed)
    return _generator


def generator():
    """The Generator that dropout and the initialisers draw from; unpredictable until manual_seed is called."""
    return _generator if _generator is not None else manual_seed(None)
