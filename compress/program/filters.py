"""The filters of a convolution as they are: float32 on `conv2d`, which needs no patches."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from nn.kernels import conv2d

from ..stored import Part, Stored

__all__ = ["FilterWeight"]


class FilterWeight(Stored):
    """Float32 filters (O, I, kH, kW) for `conv2d`."""

    kind = "filters"
    parts = {"values": Part("payload", np.float32, ("…",))}
    kernel = conv2d

    def __init__(self, w: np.ndarray) -> None:
        self.hold(w.shape, {"values": w})

    def check(self, who: str) -> None:
        if len(self.shape) != 4:
            raise ValueError(f"{who}: filters have 4 dimensions")

    def decode(self) -> np.ndarray:
        return self.held["values"]

    def operand(self, kernel: Any = None) -> Any:
        return self.kernel.pack(self.held["values"])

    def macs(self) -> int:
        """Multiplications of one output position."""
        return prod(self.shape)
