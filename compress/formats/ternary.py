"""Ternary weights: −s, 0 or s, with one s for each output channel (Li, Zhang & Liu 2016, eq. 3)."""

import numpy as np

from nn.kernels import nbit_gemm

from .affine import Affine
from .format import SMALLEST, format_named


class Ternary(Affine):
    """The s, and the weights that become 0, for which ‖w − s·t‖₂ is smallest.

    If the k largest |w| become ±s, the best s is their mean, and ‖w − s·t‖² = ‖w‖² − (Σ of the k largest)²/k:
    the best k is found among all. With it a weight becomes 0 just where |w| < s/2, as by rounding. (The paper
    takes 0.7·mean|w| for that threshold, which is right for normal weights.)"""

    highest, lowest = 1, -1

    def fit_groups(self, groups: np.ndarray) -> np.ndarray:
        falling = -np.sort(-np.abs(groups.astype(np.float64)), axis=1)
        count = np.arange(1, falling.shape[1] + 1)
        sums = np.cumsum(falling, axis=1)
        best = np.argmax(sums / np.sqrt(count), axis=1)  # that of (Σ)²/k
        scales = np.maximum(sums[np.arange(len(sums)), best] / (best + 1), SMALLEST).astype(np.float32)
        scales[~groups.any(axis=1)] = 1
        return scales


TERNARY = Ternary("ternary", bits=2, kernel=nbit_gemm, activations=format_named("uint8"))
