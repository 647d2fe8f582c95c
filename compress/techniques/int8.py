"""The stored forms of an int8 weight: all integers, or a bit mask and those that are not 0."""

from __future__ import annotations

import numpy as np

from nn.kernels import qgemm

from ..formats.affine import Affine, to_real
from ..stored import Stored, as_matrix, from_matrix
from .dense import gamma

__all__ = ["MaskedWeight", "QuantizedWeight"]


class QuantizedWeight(Stored):
    """int8 integers packed for `qgemm`, and a float32 scale per output channel."""

    kind = "int8"
    parts = {"values": "payload", "scale": "tables"}

    def __init__(self, q: np.ndarray, scale: np.ndarray) -> None:
        self.shape = q.shape
        self.scale = scale
        self.operand = qgemm.pack(as_matrix(q).T)

    def integers(self) -> np.ndarray:
        """The weight's integers as the matrix (out, in) that multiplies, int8."""
        return np.ascontiguousarray(self.operand.unpack().T)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"values": self.integers(), "scale": self.scale}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], shape: tuple[int, ...]) -> QuantizedWeight:
        values, scale = arrays["values"], arrays["scale"]
        if values.dtype != np.int8 or values.shape != (shape[0], int(np.prod(shape[1:]))):
            raise ValueError(
                f"int8 weight {shape}: values have dtype {values.dtype} and shape {values.shape}"
            )
        check_scale(scale, shape)
        return cls(from_matrix(values, shape), scale)

    def decode(self) -> np.ndarray:
        return to_real(from_matrix(self.integers(), self.shape), self.scale)

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


class MaskedWeight(QuantizedWeight):
    """A QuantizedWeight with many zeros: a bit for each weight says which are not, and only those are stored.

    n/8 bytes of mask beat 16-bit column indices while more than one weight in 16 lives. In memory the
    zeros are back:
    `qgemm` multiplies them.
    """

    kind = "int8-masked"
    parts = {"values": "payload", "mask": "indices", "scale": "tables"}

    def arrays(self) -> dict[str, np.ndarray]:
        q = self.integers().ravel()
        return {"values": q[q != 0], "mask": np.packbits(q != 0), "scale": self.scale}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], shape: tuple[int, ...]) -> MaskedWeight:
        values, mask, scale = arrays["values"], arrays["mask"], arrays["scale"]
        count = int(np.prod(shape))
        if mask.dtype != np.uint8 or mask.shape != (-(-count // 8),):
            raise ValueError(f"masked weight {shape}: mask has dtype {mask.dtype} and shape {mask.shape}")
        alive = np.unpackbits(mask).astype(bool)
        if alive[count:].any() or values.dtype != np.int8 or values.shape != (np.count_nonzero(alive),):
            raise ValueError(f"masked weight {shape}: {values.dtype} {values.shape} does not fill its mask")
        if not values.all():
            raise ValueError(f"masked weight {shape}: a value that its mask says is not 0 is 0")
        check_scale(scale, shape)
        q = np.zeros(count, np.int8)
        q[alive[:count]] = values
        return cls(from_matrix(q.reshape(shape[0], -1), shape), scale)


def smallest_form(q: np.ndarray, scale: np.ndarray) -> QuantizedWeight:
    """The form of these integers with the fewer bytes on disk."""
    zeros = q.size - np.count_nonzero(q)
    return (MaskedWeight if -(-q.size // 8) < zeros else QuantizedWeight)(q, scale)


def check_scale(scale: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless there is a positive, finite float32 scale for each output channel."""
    if scale.dtype != np.float32 or scale.shape != shape[:1]:
        raise ValueError(f"int8 weight {shape}: scale has dtype {scale.dtype} and shape {scale.shape}")
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise ValueError(f"int8 weight {shape}: scales must be positive and finite")
