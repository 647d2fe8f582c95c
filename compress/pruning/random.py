"""A score that knows nothing: the control for those that claim to."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

import numpy as np

from ..transform import Context
from .score import Score


@dataclass(frozen=True)
class Random(Score, name="random"):
    """Uniform in [0, 1), from `seed` and the weight's name: the same at every step of a schedule, in every
    run, and another for each layer."""

    seed: int = 0

    def saliency(self, w: np.ndarray, context: Context) -> np.ndarray:
        return np.random.default_rng((self.seed, crc32(context.name.encode()))).random(w.shape)
