"""Pooling over windows of N,H,W,C values, float or quantized: both keep the scale and zero point of their
input.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .call import Call, Constants, Run, Value
from .layout import Pair, out_size

__all__ = ["AvgPool", "MaxPool"]


@dataclass(frozen=True)
class _Pool(Call):
    kernel: Pair
    stride: Pair
    padding: Pair

    op: ClassVar[str] = "pool"

    def infer(self, constants: Constants, *inputs: Value) -> Value:
        self.need(inputs[0], ("float32", "uint8"), ndim=3)
        if min(*self.kernel, *self.stride) < 1 or any(
            2 * p > k for p, k in zip(self.padding, self.kernel, strict=True)
        ):
            raise self.fail("kernel and stride must be positive, padding at most half the kernel")
        if min(self.padding) < 0:
            raise self.fail("padding must not be negative")
        height, width, channels = inputs[0].shape
        rows, columns = map(out_size, (height, width), self.kernel, self.stride, self.padding)
        return self.made(inputs[0].dtype, (rows, columns, channels))

    def _windows(self, x: np.ndarray, fill: float) -> Iterator[np.ndarray]:
        """For every offset in the window, the (N,OH,OW,C) view of what lies there."""
        (kh, kw), (sh, sw), (ph, pw) = self.kernel, self.stride, self.padding
        rows, columns = map(out_size, x.shape[1:3], self.kernel, self.stride, self.padding)
        if ph or pw:
            x = np.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)), constant_values=fill)
        for i in range(kh):
            for j in range(kw):
                yield x[:, i : i + sh * (rows - 1) + 1 : sh, j : j + sw * (columns - 1) + 1 : sw]

    def detail(self) -> str:
        said = f", {self.kernel[0]}×{self.kernel[1]}"
        said += f", stride {self.stride[0]}×{self.stride[1]}" if self.stride != self.kernel else ""
        return said + (f", padded {self.padding[0]}×{self.padding[1]}" if any(self.padding) else "")


@dataclass(frozen=True)
class MaxPool(_Pool):
    """The largest value under each window; padding never wins."""

    op: ClassVar[str] = "max_pool"

    def bind(self, constants: Constants) -> Run:
        return self.run

    def run(self, out: np.ndarray, x: np.ndarray) -> None:
        first, *rest = self._windows(x, 0 if x.dtype == np.uint8 else -np.inf)
        np.copyto(out, first)
        for window in rest:
            np.maximum(out, window, out=out)


@dataclass(frozen=True)
class AvgPool(_Pool):
    """The mean of each window, padding counted in with real 0 (`zero` is the integer that stands for it)."""

    zero: int

    op: ClassVar[str] = "avg_pool"

    def infer(self, constants: Constants, *inputs: Value) -> Value:
        if not 0 <= self.zero <= 255:
            raise self.fail("zero must be in 0…255")
        return super().infer(constants, *inputs)

    def bind(self, constants: Constants) -> Run:
        return self.run

    def run(self, out: np.ndarray, x: np.ndarray) -> None:
        total = sum(window.astype(np.float32) for window in self._windows(x, self.zero))
        mean = total / np.float32(self.kernel[0] * self.kernel[1])
        if x.dtype == np.uint8:  # as a quantized mean: round(mean / scale) + zero
            mean = np.rint(mean - np.float32(self.zero)) + np.float32(self.zero)
        np.copyto(out, mean, casting="unsafe")
