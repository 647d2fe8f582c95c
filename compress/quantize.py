"""Affine quantization to 8 bits, after training or in it (simulate.py): real = scale · (integer − zero).

Weights are symmetric, a scale per output channel, integers −127…127 (Krishnamoorthi 2018, §3.1);
activations are asymmetric, one scale and zero point per tensor, integers 0…255, and real 0 is an integer
exactly (Jacob et al. 2018).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nn.kernels import qgemm
from nn.rules.record import Rule
from nn.tensor import Tensor, apply

from .dense import gamma
from .transform import Context, Invariant, Packed, as_matrix, from_matrix

__all__ = ["Affine", "Quantize", "QuantizedWeight"]

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
        return apply(STRAIGHT_THROUGH, w, Tensor(to_real(to_grid(w.data, state.scale), state.scale)))

    def update(self, state: QuantizeState, w: Tensor, step: int) -> None:
        state.scale = channel_scale(w.data)

    def rescaled(self, state: QuantizeState, factor: np.ndarray) -> QuantizeState:
        return QuantizeState(np.maximum(state.scale * np.abs(factor), SMALLEST).astype(np.float32))

    def encode(self, w: np.ndarray, state: QuantizeState) -> QuantizedWeight:
        return QuantizedWeight(to_grid(w, state.scale), state.scale)

    def bound(self, w: np.ndarray, state: QuantizeState) -> float:
        """Half a step for every weight, and two float32 roundings of at most 127 steps: the scale covers
        the range.
        """
        half = state.scale.astype(np.float64) * (0.5 + 127 * 2.0**-23)
        return float(np.sqrt(np.sum(half**2) * (w.size / max(len(half), 1))))


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


class QuantizedWeight(Packed):
    """int8 integers packed for `qgemm`, and a float32 scale per output channel."""

    kind = "int8"
    parts = {"values": "payload", "scale": "tables"}

    def __init__(self, q: np.ndarray, scale: np.ndarray) -> None:
        self.shape = q.shape
        self.scale = scale
        self.operand = qgemm.pack(as_matrix(q).T)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"values": np.ascontiguousarray(self.operand.unpack().T), "scale": self.scale}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], shape: tuple[int, ...]) -> QuantizedWeight:
        values, scale = arrays["values"], arrays["scale"]
        if values.dtype != np.int8 or values.shape != (shape[0], int(np.prod(shape[1:]))):
            raise ValueError(
                f"int8 weight {shape}: values have dtype {values.dtype} and shape {values.shape}"
            )
        if scale.dtype != np.float32 or scale.shape != shape[:1]:
            raise ValueError(f"int8 weight {shape}: scale has dtype {scale.dtype} and shape {scale.shape}")
        if not (np.isfinite(scale).all() and (scale > 0).all()):
            raise ValueError(f"int8 weight {shape}: scales must be positive and finite")
        return cls(from_matrix(values, shape), scale)

    def decode(self) -> np.ndarray:
        return to_real(from_matrix(self.arrays()["values"], self.shape), self.scale)

    def linear(self, x: np.ndarray) -> np.ndarray:
        """x is quantized to uint8 over its own range first; the product is one of integers."""
        grid = self._grid(x)
        acc = qgemm(grid.quantize(x), self.operand, a_zero=grid.zero)
        return acc.astype(np.float32) * np.float32(grid.scale) * self.scale

    def linear_bound(self, x: np.ndarray) -> np.ndarray:
        """Half a step of x through Σ|w|, and float32 rounding of the product (the integers are exact)."""
        magnitudes = np.abs(as_matrix(self.decode()).T, dtype=np.float64)
        reach = np.abs(x, dtype=np.float64).max(initial=0) + self._grid(x).scale
        step = self._grid(x).scale * (0.5 + 256 * 2.0**-23)
        relative = step + gamma(x.shape[1] + 8) * reach
        bound = relative * magnitudes.sum(axis=0) + 2.0**-150  # the product may underflow
        return np.broadcast_to(bound, (len(x), len(bound))).copy()

    def _grid(self, x: np.ndarray) -> Affine:
        return Affine.of_range(float(x.min(initial=0)), float(x.max(initial=0)))

    @property
    def nbytes(self) -> int:
        return self.operand.nbytes + self.scale.nbytes

    def macs(self) -> int:
        return int(np.prod(self.shape))
