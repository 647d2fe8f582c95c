"""|w|: Han et al. (2015), "Learning both weights and connections for efficient neural networks"."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..transform import Context
from .score import Score


@dataclass(frozen=True, repr=False)
class Magnitude(Score, name="magnitude"):
    """|w|; of a group its L1 norm, by which Li et al. (2017, "Pruning filters for efficient ConvNets") choose
    filters."""

    def saliency(self, w: np.ndarray, context: Context) -> np.ndarray:
        return np.abs(w)

    def squares(self, collected: np.ndarray) -> np.ndarray:
        """‖·‖₂ ≤ ‖·‖₁."""
        return collected.astype(np.float64) ** 2


@dataclass(frozen=True, repr=False)
class L1(Magnitude, name="l1"):
    """The same by its other name."""
