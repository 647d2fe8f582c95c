"""The weight as it is, in float32: what every other form is compared with."""

from math import prod
from typing import Any

import numpy as np

from nn.kernels import conv2d, depthwise_conv2d, gemm

from .stored import Part, Stored, as_matrix, from_matrix


class DenseWeight(Stored):
    """A float32 weight in its own shape, for any kernel of floats: which one is chosen where it is run."""

    kind = "dense"
    parts = {"values": Part("payload", np.float32, ("…",))}
    kernel = gemm

    def __init__(self, w: np.ndarray) -> None:
        self.hold(w.shape, {"values": w})

    def decode(self) -> np.ndarray:
        return self.held["values"]

    def operand(self, kernel: Any = None) -> Any:
        """For `gemm` its matrix; for a convolution the filters (O, I, kH, kW)."""
        w = self.held["values"]
        return gemm.pack(as_matrix(w).T) if kernel in (None, gemm) else kernel.pack(w)

    @classmethod
    def told(cls, kernel: Any) -> dict[str, Any]:
        """Not of Winograd's filters, which move by a rounding."""
        if kernel is gemm:
            return {"values": lambda w, shape: from_matrix(np.ascontiguousarray(w.T), shape)}
        return {"values": lambda w, shape: w.reshape(shape)} if kernel in (conv2d, depthwise_conv2d) else {}

    def macs(self) -> int:
        return prod(self.shape)
