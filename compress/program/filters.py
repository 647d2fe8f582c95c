"""The filters of a convolution as they are: float32 on `conv2d`, which needs no patches."""

from __future__ import annotations

import numpy as np

from nn.kernels import conv2d

from ..stored import Stored, as_matrix
from ..techniques.dense import product_bound

__all__ = ["FilterWeight"]


class FilterWeight(Stored):
    """Float32 filters (O, I, kH, kW), packed for `conv2d`; the packed operand is their only copy."""

    kind = "filters"
    parts = {"values": "payload"}

    def __init__(self, w: np.ndarray) -> None:
        self.shape = w.shape
        self.operand = conv2d.pack(w)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"values": self.operand.unpack()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], shape: tuple[int, ...]) -> FilterWeight:
        values = arrays["values"]
        if values.dtype != np.float32 or values.shape != shape or len(shape) != 4:
            raise ValueError(
                f"filter weight {shape}: values have dtype {values.dtype} and shape {values.shape}"
            )
        if not np.isfinite(values).all():
            raise ValueError(f"filter weight {shape}: values must be finite")
        return cls(values)

    def decode(self) -> np.ndarray:
        return self.operand.unpack()

    def linear(self, x: np.ndarray) -> np.ndarray:
        """x holds patches, (batch, kH·kW·I): each is an image of one window."""
        o, i, height, width = self.shape
        return conv2d(x.reshape(len(x), height, width, i), self.operand).reshape(len(x), o)

    def linear_bound(self, x: np.ndarray) -> np.ndarray:
        return product_bound(x, as_matrix(self.decode()))

    @property
    def nbytes(self) -> int:
        return self.operand.nbytes

    def macs(self) -> int:
        """Multiplications of one output position."""
        return int(np.prod(self.shape))
