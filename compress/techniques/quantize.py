"""Quantization to 8 bits: after training, or in it (simulate.py). The integers are those of affine.py."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nn.rules.record import Rule
from nn.tensor import Tensor, apply

from ..formats.affine import SMALLEST, Affine, channel_scale, to_grid, to_real
from ..transform import Context, Invariant
from .int8 import QuantizedWeight, smallest_form

__all__ = ["STRAIGHT_THROUGH", "Affine", "Quantize", "QuantizedWeight"]

# The integer grid has no slope to follow, so the gradient goes straight through to the float weight
# (Bengio, Léonard & Courville 2013): forward is `target`, backward is that of the identity in w.
STRAIGHT_THROUGH = Rule(
    "straight_through",
    "y = target;  dw = g, as if y were w",
    lambda w, target: (target, None),
    lambda g, saved, needs: (g, None),
    samples=lambda rng: [([rng.normal(size=(3, 4)), rng.normal(size=(3, 4))], {})],
    surrogate=lambda w, target: lambda w, target: w,
)


@dataclass
class QuantizeState:
    """`scale` (O,) float32: the weight's step, one per output channel."""

    scale: np.ndarray


@dataclass(frozen=True)
class Quantize:
    """8-bit weights, a scale per output channel, and 8-bit activations where the network is converted.

    The product of a converted layer runs on `qgemm`, in integers.
    bits: 8, the only width there is. Raises ValueError for another.
    """

    bits: int = 8

    keeps = frozenset({Invariant.SUPPORT, Invariant.NM})
    makes = frozenset({Invariant.GRID})

    def __post_init__(self) -> None:
        if self.bits != 8:
            raise ValueError(f"Quantize: bits must be 8, the width that qgemm multiplies; got {self.bits!r}")

    def fit(self, w: np.ndarray, context: Context) -> QuantizeState:
        return QuantizeState(channel_scale(w))

    def project(self, w: Tensor, state: QuantizeState) -> Tensor:
        scale = self.following(state, w.data).scale
        return apply(STRAIGHT_THROUGH, w, Tensor(to_real(to_grid(w.data, scale), scale)))

    def following(self, state: QuantizeState, w: np.ndarray) -> QuantizeState:
        """The State with the scale of its own range for every channel that was written to since.

        Where nothing was, the two scales differ at most by the rounding of weights to their grid, or of a
        factor.
        """
        own = channel_scale(w)
        written = (np.abs(own - state.scale) > 2.0**-20 * state.scale) & w.reshape(len(w), -1).any(axis=1)
        return QuantizeState(np.where(written, own, state.scale)) if written.any() else state

    def update(self, state: QuantizeState, w: Tensor, step: int) -> None:
        state.scale = channel_scale(w.data)

    def rescaled(self, state: QuantizeState, factor: np.ndarray) -> QuantizeState:
        return QuantizeState(np.maximum(state.scale * np.abs(factor), SMALLEST).astype(np.float32))

    def encode(self, w: np.ndarray, state: QuantizeState) -> QuantizedWeight:
        return self.stored(w, self.following(state, w).scale)

    def stored(self, w: np.ndarray, scale: np.ndarray) -> QuantizedWeight:
        """The weight on the grid of these scales (O,): a bias may want a coarser one than the weights."""
        return smallest_form(to_grid(w, scale), scale)

    def bound(self, w: np.ndarray, state: QuantizeState) -> float:
        """Half a step for every weight that is not 0, and two float32 roundings of at most 127 steps: the
        scale covers the range, and 0 is on the grid.
        """
        half = state.scale.astype(np.float64) * (0.5 + 127 * 2.0**-23)
        counts = np.count_nonzero(w.reshape(len(w), -1), axis=1)
        return float(np.sqrt(np.sum(half**2 * counts)))
