"""The call of a convolution by Winograd's algorithm."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from nn.kernels import conv2d, winograd_conv2d

from ..winograd import WinogradWeight
from .call import Call, Constants, Run, Value
from .layout import Pair, out_size
from .nonfinite import not_finite
from .pointwise import check_vector

__all__ = ["WinogradConv2d"]


@dataclass(frozen=True)
class WinogradConv2d(Call):
    """(N,H,W,C) under 3×3 filters with stride 1, plus the bias: F(2×2, 3×3) of Lavin & Gray (2016).

    Images with NaN or infinity, which would spread over their tiles, are convolved directly.
    """

    weight: str
    bias: str | None
    padding: Pair

    op: ClassVar[str] = "winograd_conv2d"

    def infer(self, constants: Constants, *inputs: Value) -> Value:
        self.need(inputs[0], ("float32",), ndim=3)
        height, width, channels = inputs[0].shape
        weight = constants.get(self.weight)
        if not isinstance(weight, WinogradWeight):
            raise self.fail(f"{self.weight} must be a WinogradWeight; got {type(weight).__name__}")
        if weight.shape[1] != channels:
            raise self.fail(f"{self.weight} {weight.shape} does not fit an image of {channels} channels")
        if min(self.padding) < 0:
            raise self.fail("padding must not be negative")
        if self.bias is not None:
            check_vector(self, constants, self.bias, weight.shape[0], np.float32)
        rows, columns = (out_size(s, 3, 1, p) for s, p in zip((height, width), self.padding, strict=True))
        return self.made("float32", (rows, columns, weight.shape[0]))

    def bind(self, constants: Constants) -> Run:
        weight, padding = constants[self.weight], self.padding
        operand, bias = weight.operand(), None if self.bias is None else constants[self.bias]

        def run(out: np.ndarray, x: np.ndarray) -> None:
            winograd_conv2d(x, operand, bias, padding=padding, out=out)
            bad = not_finite(x)
            if bad is not None:
                with np.errstate(invalid="ignore", over="ignore"):
                    out[bad] = conv2d(x[bad], weight.decode(), bias, padding=padding)

        return run

    def macs(self, constants: Constants, *inputs: Value) -> int:
        """Multiplications: 16 for each tile, input and output channel, the tiles that hang over included."""
        rows, columns, _ = self.infer(constants, *inputs).shape
        return prod(-(-size // 2) for size in (rows, columns)) * constants[self.weight].macs()

    def uses(self) -> tuple[str, ...]:
        return (self.weight,) if self.bias is None else (self.weight, self.bias)

    def detail(self) -> str:
        padded = f", padded {self.padding[0]}×{self.padding[1]}" if any(self.padding) else ""
        return f", {', '.join(self.uses())}, tiles of 2×2{padded}"
