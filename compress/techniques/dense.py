"""The weight as it is, in float32: what every other form is compared with."""

from math import prod
from typing import Any

import numpy as np

from nn.kernels import gemm

from ..stored import Part, Stored, as_matrix


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

    def macs(self) -> int:
        return prod(self.shape)
