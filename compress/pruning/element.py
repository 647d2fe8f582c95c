"""Single weights: what compresses best, and what hardware likes least."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from .pattern import Pattern


@dataclass(frozen=True, repr=False)
class Element(Pattern, name="element"):
    """Each weight by itself. The last one of a layer stays, whatever the sparsity."""

    last = True

    def labels(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.arange(prod(shape)).reshape(shape)

    def groups(self, shape: tuple[int, ...]) -> int:
        return prod(shape)

    def collect(self, saliency: np.ndarray) -> np.ndarray:
        return saliency.ravel()

    def spread(self, kept: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return kept.astype(np.float32).reshape(shape)
