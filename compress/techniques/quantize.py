"""Quantization: weights in a number format of few bits, after training, or in it (simulate.py)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nn.kernels.requantization import ROUNDINGS
from nn.tensor import Tensor

from ..formats.affine import INT8
from ..formats.format import FORMATS, SMALLEST, Format, format_named
from ..formats.quantized import QuantizedWeight, smallest_form
from ..transform import Context, Invariant, Transform


@dataclass
class QuantizeState:
    """`scale` float32: the weight's steps, one for each output channel (O,), or each block (O, blocks)."""

    scale: np.ndarray


@dataclass(frozen=True, repr=False)
class Quantize(Transform):
    """Weights in a number format, by default 8-bit integers with a scale for each output channel.

    Where the format has a kernel of integers, as int8 has `qgemm`, the activations that a converted layer
    reads are 8-bit integers too. Where it has none, the Program multiplies with the dequantized weights.
    bits: 8, the width that has a kernel. weights: another Format, or its name. rounding: how sums of products
    become 8-bit integers, in training and in the Program: by a float32 scale ("float"), or in integers alone
    ("fixed-point", rounded twice, as in TFLite; nn/kernels/fixed_point.py). Raises ValueError for other bits,
    another rounding, and for a name that is no format of weights, TypeError for what is none."""

    bits: int = 8
    weights: Format | str = INT8
    rounding: str = "float"

    keeps = frozenset({Invariant.SUPPORT, Invariant.NM})
    makes = frozenset({Invariant.GRID})

    def __post_init__(self) -> None:
        if self.bits != 8:
            raise ValueError(f"Quantize: bits must be 8, the width that qgemm multiplies; got {self.bits!r}; "
                             "for other formats say weights=")
        weights = format_named(self.weights) if isinstance(self.weights, str) else self.weights
        if not isinstance(weights, Format):
            raise TypeError(f"Quantize: weights must be a Format or its name; got {self.weights!r}")
        if weights.grouping == "tensor":
            raise ValueError(f"Quantize: {weights} is a format of activations, not of weights")
        object.__setattr__(self, "weights", weights)
        if self.rounding not in ROUNDINGS:
            raise ValueError(f"Quantize: rounding must be one of {', '.join(ROUNDINGS)}; got "
                             f"{self.rounding!r}")
        if self.rounding != "float" and weights.activations is None:
            raise ValueError(f"Quantize: rounding is of sums of integers; {weights} weights multiply reals")

    @classmethod
    def samples(cls) -> list[Quantize]:
        return [cls(weights=format) for format in FORMATS.values() if format.grouping != "tensor"] + [
            cls(rounding="fixed-point")]

    @property
    def activations(self) -> Format | None:
        return self.weights.activations

    def fit(self, w: np.ndarray, context: Context) -> QuantizeState:
        return QuantizeState(self.weights.scales(w))

    def project(self, w: Tensor, state: QuantizeState) -> Tensor:
        return self.weights.straight_through(w, self.following(state, w.data).scale)

    def following(self, state: QuantizeState, w: np.ndarray) -> QuantizeState:
        """The State with the scale of its own range for every channel that was written to since. Elsewhere
        the two scales differ at most by the rounding of weights to their grid, or of a factor."""
        own = self.weights.scales(w)
        written = np.abs(own - state.scale) > 2.0**-20 * state.scale
        if not np.logical_or.reduce(written, axis=None):
            return state
        written.T[:] &= np.logical_or.reduce(w.reshape(len(w), -1), axis=1)
        return QuantizeState(np.where(written, own, state.scale))

    def update(self, state: QuantizeState, w: Tensor, step: int) -> None:
        state.scale = self.weights.scales(w.data)

    def rescaled(self, state: QuantizeState, factor: np.ndarray) -> QuantizeState:
        scale = (state.scale.T * np.abs(factor)).T  # (of blocks, too)
        return QuantizeState(np.maximum(scale, SMALLEST).astype(np.float32))

    def encode(self, w: np.ndarray, state: QuantizeState, least: np.ndarray | None = None) -> QuantizedWeight:
        """With scales of at least `least`, as a bias in their units may want; just that for channels of 0."""
        scale = self.following(state, w).scale
        if least is not None:
            scale = scale.copy()
            scale[~np.logical_or.reduce(w.reshape(len(w), -1), axis=1)] = SMALLEST
            scale = np.maximum(scale.T, least).T.astype(np.float32)
        return smallest_form(self.weights.to_codes(w, scale), scale, self.weights)

    def bound(self, w: np.ndarray, state: QuantizeState) -> float:
        """The format's error for every weight that is not 0: the scale covers the range, and 0 is a code."""
        errors = self.weights.spread(self.weights.error(state.scale), w.shape)
        return float(np.linalg.norm(np.where(w == 0, 0.0, errors)))

    def __repr__(self) -> str:
        said = f"bits={self.bits}" if self.weights is INT8 else f"weights={self.weights.name!r}"
        said += f", rounding={self.rounding!r}" * (self.rounding != "float")
        return f"{type(self).__qualname__}({said})"
