"""A weight in its stored form: bytes, itemised, and how it is read back."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import numpy as np

from nn.files import arrays_to_bytes

__all__ = ["Stored", "as_matrix", "from_matrix"]


class Stored:
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
    def from_arrays(cls, arrays: dict[str, np.ndarray], shape: tuple[int, ...]) -> Stored:
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
