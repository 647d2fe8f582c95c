"""w²: groups of weights by their L2 norm, squared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..transform import Context
from .score import Score


@dataclass(frozen=True, repr=False)
class L2(Score, name="l2"):
    """w², summed over a group: to prune the least is to move the weight least, in ‖·‖₂. Of single weights the
    order is that of their magnitudes."""

    def saliency(self, w: np.ndarray, context: Context) -> np.ndarray:
        return w.astype(np.float64) ** 2

    def squares(self, collected: np.ndarray) -> np.ndarray:
        return collected
