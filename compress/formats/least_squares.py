"""The scale of integer weights with the least squared error: the few largest are clipped, where that makes
the steps of all others finer by more than it costs (Banner, Nahshan & Soudry 2019, §3)."""

from typing import Any

import numpy as np

from .format import SMALLEST

STEPS = 32
PARTS = tuple(k / STEPS for k in range(STEPS - 1, 0, -1))  # of the scale that covers the range


def least_squares(format: Any, groups: np.ndarray, widest: np.ndarray, parts: tuple[float, ...] = PARTS,
                  refined: int = 2) -> np.ndarray:
    """The scale of each row of `groups` (n, size), float32 (n,), of at most `widest` (n,), which clips
    nothing: that of these `parts` of it with the least Σ(w − ŵ)², then `refined` times the best for its q,

        s = Σ w·q / Σ q².

    No scale beyond `widest` is taken: the largest weight keeps the largest integer."""
    best, error = widest, _error(format, groups, widest)

    def better(tried: np.ndarray) -> None:
        nonlocal best, error
        tried = np.clip(tried, SMALLEST, widest).astype(np.float32)
        found = _error(format, groups, tried)
        best, error = np.where(found < error, tried, best), np.minimum(found, error)

    for part in parts:
        better(widest * np.float32(part))
    for _ in range(refined):
        q = format.quantize(groups, best[:, None]).astype(np.float64)
        squares = np.maximum(np.square(q).sum(axis=1), 1)
        better((groups * q).sum(axis=1) / squares)
    return best


def _error(format: Any, groups: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Σ(w − ŵ)² of each row, float64."""
    scales = scales[:, None]
    off = format.dequantize(format.quantize(groups, scales), scales) - groups
    return np.einsum("nk,nk->n", off, off, dtype=np.float64)
