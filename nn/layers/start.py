"""How the weights of a layer start."""

from __future__ import annotations

import math

import numpy as np

from .. import random
from ..parameter import Parameter


def initial(
    shape: tuple[int, ...], bias: bool, rng: np.random.Generator | None, outputs: int | None = None
) -> tuple[Parameter, Parameter | None]:
    """A weight and a bias, uniform in ±1/√fan_in.

    That is PyTorch's start: He et al. (2015), eq. 14, bound √(6 / ((1+a²) fan_in)), with a = √5.
    """
    rng = source(rng)
    outputs = shape[0] if outputs is None else outputs
    bound = 1 / math.sqrt(math.prod(shape[1:]))
    weight = Parameter(rng.uniform(-bound, bound, shape).astype(np.float32))
    return weight, Parameter(rng.uniform(-bound, bound, outputs).astype(np.float32)) if bias else None


def source(rng: np.random.Generator | None) -> np.random.Generator:
    """Where a layer draws its first weights from: what was given, or the library's own Generator."""
    rng = random.generator() if rng is None else rng
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng of a layer must be a numpy.random.Generator, got {type(rng).__name__}")
    return rng
