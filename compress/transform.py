"""What every compression technique is: a Transform of one weight, with three faces.

    it trains       project(w)   the differentiable view of the weight that the layer uses while it trains
    it is stored    encode(w)    a Packed: fewer bytes, itemised, and decode() to get the weight back
    it multiplies   packed.linear(x): a kernel that never builds the dense weight

A transform is configuration only and never changes; what it finds out about one weight (a mask, a scale) is
that weight's State, so that one transform can serve many weights.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from nn.files import arrays_to_bytes
from nn.tensor import Tensor

__all__ = ["Context", "Invariant", "Packed", "Transform", "as_matrix", "from_matrix"]


class Invariant(Enum):
    """A property of a weight that one stage of a Chain makes and a later stage may destroy."""

    SUPPORT = "which weights are zero"
    LEVELS = "the few values that weights share"
    GRID = "multiples of a scale"
    RANK = "the rank"
    NM = "N of every M are non-zero"


@dataclass(frozen=True)
class Context:
    """What a transform may know of a weight beside its values: its state-dict name, the op that reads it, and
    the optimizer step at which the schedules of the stages before it end (`settled`); and whether one of
    these prunes, so that zeros are to stay zero (`pruned`).
    """

    name: str = "weight"
    op: str = "linear"
    settled: int = 0
    pruned: bool = False


@runtime_checkable
class Transform(Protocol):
    """The protocol of a technique. `w` is float32, shape (out, in) or (O, I, kH, kW); channels are the
    first axis.
    """

    keeps: frozenset[Invariant]
    makes: frozenset[Invariant]

    def fit(self, w: np.ndarray, context: Context) -> Any:
        """A State for this weight."""

    def project(self, w: Tensor, state: Any) -> Tensor:
        """The weight as it will be after encode and decode, differentiable in `w`."""

    def update(self, state: Any, w: Tensor, step: int) -> None:
        """After optimizer step number `step` (from 1): move schedules on and have `state` fit the weight as
        it is now, in place.
        """

    def rescaled(self, state: Any, factor: np.ndarray) -> Any:
        """The State that fits `w` when its output channels are multiplied by `factor` (O,): batch norm is
        folded so.
        """

    def encode(self, w: np.ndarray, state: Any) -> Packed:
        """The weight in its stored form: decode() of it equals project(w) bit for bit."""

    def bound(self, w: np.ndarray, state: Any) -> float | None:
        """An upper bound of ‖w − project(w)‖₂ from theory, for the weight that `state` was fitted to;
        None if none is known.
        """


class Packed:
    """A weight in its stored form. Subclasses name the arrays they store; the rest is the same for all.

    Raises: what a subclass's own methods say.
    """

    kind: ClassVar[str]  # names the class in a file
    parts: ClassVar[dict[str, str]]  # stored array -> what it is: payload, indices or tables
    shape: tuple[int, ...]  # of the weight, as in nn

    def arrays(self) -> dict[str, np.ndarray]:
        """What is stored: exactly these arrays."""
        raise TypeError(f"{type(self).__name__} does not say what it stores")

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], shape: tuple[int, ...]) -> Packed:
        """The inverse of `arrays()`; ValueError where they do not fit each other or the shape."""
        raise TypeError(f"{cls.__name__} can't be read back")

    def decode(self) -> np.ndarray:
        """The weight as float32, in its own shape."""
        raise TypeError(f"{type(self).__name__} can't be decoded")

    def linear(self, x: np.ndarray) -> np.ndarray:
        """x (batch, in) float32 times the weight's transpose → (batch, out) float32, by this form's own
        kernel.
        """
        raise TypeError(f"{type(self).__name__} can't multiply")

    def linear_bound(self, x: np.ndarray) -> np.ndarray:
        """Element-wise bound of |linear(x) − x·decode()ᵀ|, shape (batch, out), float64, and a close one: see
        `bounds_the_product_closely` in compress/testing/laws_claims.py.
        """
        raise TypeError(f"{type(self).__name__} has no error bound")

    @property
    def nbytes(self) -> int:
        """Bytes in memory, as the kernel holds it (padding included)."""
        raise TypeError(f"{type(self).__name__} does not know its size")

    def macs(self) -> int:
        """Multiply-adds for one row of x: at least one for each row and each column that is not all 0."""
        raise TypeError(f"{type(self).__name__} does not know its cost")

    def __reduce__(self) -> tuple[Any, ...]:
        return self.from_arrays, (self.arrays(), self.shape)  # pickled as it is stored

    def to_bytes(self) -> bytes:
        """The weight as a safetensors file of its own."""
        return arrays_to_bytes(self.arrays(), {"kind": self.kind, "shape": json.dumps(self.shape)})

    def sizes(self) -> dict[str, int]:
        """Bytes of `to_bytes()`, itemised: payload, indices, tables and header; they sum to its length."""
        sizes = {"payload": 0, "indices": 0, "tables": 0}
        for name, array in self.arrays().items():
            sizes[self.parts[name]] += array.nbytes
        sizes["header"] = len(self.to_bytes()) - sum(sizes.values())
        return sizes


def as_matrix(w: np.ndarray) -> np.ndarray:
    """A weight as the matrix (out, in) that multiplies: (O,I,kH,kW) → (O, kH·kW·I), the order of an
    N,H,W,C im2col.
    """
    if w.ndim == 2:
        return np.ascontiguousarray(w)
    if w.ndim == 4:
        return np.ascontiguousarray(w.transpose(0, 2, 3, 1)).reshape(w.shape[0], int(np.prod(w.shape[1:])))
    raise ValueError(f"a weight has shape (out, in) or (O, I, kH, kW); got {w.shape}")


def from_matrix(matrix: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of `as_matrix` for a weight of the given shape."""
    if len(shape) == 2:
        return matrix
    out, channels, height, width = shape
    return np.ascontiguousarray(matrix.reshape(out, height, width, channels).transpose(0, 3, 1, 2))
