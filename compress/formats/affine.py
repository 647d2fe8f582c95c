"""Integers that stand for reals: real = scale · (integer − zero).

Weights are symmetric, a scale per output channel, integers −127…127 (Krishnamoorthi 2018, §3.1);
activations are asymmetric, one scale and zero point per tensor, integers 0…255, and real 0 is an integer
exactly (Jacob et al. 2018).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["SMALLEST", "Affine", "channel_scale", "to_grid", "to_real"]

SMALLEST = float(np.finfo(np.float32).tiny)  # a scale below the normal numbers would lose its own digits


@dataclass(frozen=True)
class Affine:
    """How uint8 activations stand for reals: real = scale · (q − zero)."""

    scale: float
    zero: int

    @classmethod
    def of_range(cls, low: float, high: float) -> Affine:
        """The finest uint8 grid that covers [low, high] and has real 0 as one of its integers.

        0 is taken into the range before the scale is chosen; padding and ReLU need it exact.
        """
        if not (np.isfinite(low) and np.isfinite(high) and low <= high):
            raise ValueError(f"Affine: needs a finite range low <= high; got [{low}, {high}]")
        low, high = min(low, 0.0), max(high, 0.0)
        scale = float(np.float32((high - low) / 255))
        if scale < SMALLEST:  # nothing but zeros was seen
            return cls(1.0, 0)
        return cls(scale, int(np.clip(np.rint(-low / scale), 0, 255)))

    def quantize(self, x: np.ndarray) -> np.ndarray:
        """clamp(round_half_even(x / scale) + zero), float32 → uint8."""
        with np.errstate(over="ignore"):  # infinity is clamped like any other large number
            q = np.rint(x / np.float32(self.scale)) + np.float32(self.zero)
        return np.clip(q, 0, 255).astype(np.uint8)

    def dequantize(self, q: np.ndarray) -> np.ndarray:
        """scale · (q − zero), uint8 → float32."""
        return (q.astype(np.float32) - np.float32(self.zero)) * np.float32(self.scale)


def channel_scale(w: np.ndarray) -> np.ndarray:
    """max|w| / 127 of each output channel; 1 for a channel of zeros."""
    largest = np.abs(w).reshape(w.shape[0], -1).max(axis=1, initial=0).astype(np.float32)
    return np.where(largest > 0, np.maximum(largest / np.float32(127), SMALLEST), 1).astype(np.float32)


def to_grid(w: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """clamp(round_half_even(w / scale), ±127) as int8."""
    return np.clip(np.rint(w / per_channel(scale, w.ndim)), -127, 127).astype(np.int8)


def to_real(q: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """q · scale in float32."""
    return q.astype(np.float32) * per_channel(scale, q.ndim)


def per_channel(scale: np.ndarray, ndim: int) -> np.ndarray:
    """(O,) → (O, 1, …) so that it multiplies along the first axis."""
    return scale.reshape(-1, *[1] * (ndim - 1))
