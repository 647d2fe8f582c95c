"""The call of a convolution as it is written down: no patches, no tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nn.kernels import conv2d

from ..filters import FilterWeight
from .call import Call, Constants, Run, Value
from .layout import Pair, out_size
from .pointwise import check_vector

__all__ = ["Conv2d"]


@dataclass(frozen=True)
class Conv2d(Call):
    """(N,H,W,C) under filters of any size, plus the bias, and max(y, 0) of that if `relu`: implicit GEMM
    (Chetlur et al. 2014).
    """

    weight: str
    bias: str | None
    stride: Pair
    padding: Pair
    dilation: Pair
    relu: bool

    op: ClassVar[str] = "conv2d"

    def infer(self, constants: Constants, *inputs: Value) -> Value:
        self.need(inputs[0], ("float32",), ndim=3)
        *size, channels = inputs[0].shape
        weight = constants.get(self.weight)
        if not isinstance(weight, FilterWeight):
            raise self.fail(f"{self.weight} must be a FilterWeight; got {type(weight).__name__}")
        if weight.shape[1] != channels:
            raise self.fail(f"{self.weight} {weight.shape} does not fit an image of {channels} channels")
        if min(*self.stride, *self.dilation) < 1 or min(self.padding) < 0:
            raise self.fail("stride and dilation must be positive, padding not negative")
        if self.bias is not None:
            check_vector(self, constants, self.bias, weight.shape[0], np.float32)
        padded = (s + 2 * p for s, p in zip(size, self.padding, strict=True))
        self.made("float32", (*padded, channels))
        rows, columns = map(out_size, size, weight.shape[2:], self.stride, self.padding, self.dilation)
        return self.made("float32", (rows, columns, weight.shape[0]))

    def bind(self, constants: Constants) -> Run:
        weight, bias = constants[self.weight].operand(), None if self.bias is None else constants[self.bias]
        how = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "relu": self.relu}
        return lambda out, x: conv2d(x, weight, bias, out=out, **how)

    def macs(self, constants: Constants, *inputs: Value) -> int:
        rows, columns, _ = self.infer(constants, *inputs).shape
        return rows * columns * constants[self.weight].macs()

    def uses(self) -> tuple[str, ...]:
        return (self.weight,) if self.bias is None else (self.weight, self.bias)

    def detail(self) -> str:
        said = f", {', '.join(self.uses())}"
        for name, value, usual in (
            ("stride", self.stride, (1, 1)),
            ("dilation", self.dilation, (1, 1)),
            ("padded", self.padding, (0, 0)),
        ):
            said += f", {name} {value[0]}×{value[1]}" if value != usual else ""
        return said + (", relu" if self.relu else "")
