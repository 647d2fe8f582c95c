"""Calls that move numbers and compute nothing: the order of dimensions, and the patches of a convolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import as_strided

from nn.kernels import channels_last

from .call import Call, Constants, Run, Value

__all__ = ["Flatten", "Im2col", "Nchw", "Nhwc", "Ravel", "out_size"]

ANY = ("float32", "uint8", "int32")
Pair = tuple[int, int]


def out_size(size: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """Positions of a window along one axis: ⌊(size + 2·padding − dilation·(kernel − 1) − 1)/stride⌋ + 1."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


@dataclass(frozen=True)
class Nhwc(Call):
    """(N,C,H,W) → (N,H,W,C): inside a Program the channels lie together, as kernels want them."""

    op: ClassVar[str] = "nhwc"

    def infer(self, constants: Constants, *inputs: Value) -> Value:
        self.need(inputs[0], ANY, ndim=3)
        channels, height, width = inputs[0].shape
        return self.made(inputs[0].dtype, (height, width, channels))

    def bind(self, constants: Constants) -> Run:
        return lambda out, x: np.copyto(out, channels_last(x))


@dataclass(frozen=True)
class Nchw(Call):
    """(N,H,W,C) → (N,C,H,W): the way back, where a network's output is an image."""

    op: ClassVar[str] = "nchw"

    def infer(self, constants: Constants, *inputs: Value) -> Value:
        self.need(inputs[0], ANY, ndim=3)
        height, width, channels = inputs[0].shape
        return self.made(inputs[0].dtype, (channels, height, width))

    def bind(self, constants: Constants) -> Run:
        return lambda out, x: np.copyto(out, x.transpose(0, 3, 1, 2))


@dataclass(frozen=True)
class Ravel(Call):
    """(N, …) → (N, everything), in the order in which it lies."""

    op: ClassVar[str] = "ravel"

    def infer(self, constants: Constants, *inputs: Value) -> Value:
        self.need(inputs[0], ANY)
        return self.made(inputs[0].dtype, (int(np.prod(inputs[0].shape)),))

    def bind(self, constants: Constants) -> Run:
        return lambda out, x: np.copyto(out, x.reshape(out.shape))


@dataclass(frozen=True)
class Flatten(Call):
    """(N,H,W,C) → (N, C·H·W) in the order of N,C,H,W, which is how the weights of the next layer count."""

    op: ClassVar[str] = "flatten"

    def infer(self, constants: Constants, *inputs: Value) -> Value:
        self.need(inputs[0], ANY, ndim=3)
        return self.made(inputs[0].dtype, (int(np.prod(inputs[0].shape)),))

    def bind(self, constants: Constants) -> Run:
        def run(out: np.ndarray, x: np.ndarray) -> None:
            n, height, width, channels = x.shape
            np.copyto(out.reshape(n, channels, height, width), x.transpose(0, 3, 1, 2))

        return run


@dataclass(frozen=True)
class Im2col(Call):
    """(N,H,W,C) → (N,OH,OW,kH·kW·C): under every output position the patch that its filter sees, as one row.

    A convolution is then one matrix product (Chellapilla, Puri & Simard 2006). Padding is `fill`: 0, or
    the zero point.
    """

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    fill: int

    op: ClassVar[str] = "im2col"

    def infer(self, constants: Constants, *inputs: Value) -> Value:
        self.need(inputs[0], ("float32", "uint8"), ndim=3)
        if (
            min(*self.kernel, *self.stride, *self.dilation) < 1
            or min(self.padding) < 0
            or not 0 <= self.fill <= 255
        ):
            raise self.fail(
                "kernel, stride and dilation must be positive, padding not negative, fill in 0…255"
            )
        height, width, channels = inputs[0].shape
        rows, columns = map(out_size, (height, width), self.kernel, self.stride, self.padding, self.dilation)
        self.made(inputs[0].dtype, (height + 2 * self.padding[0], width + 2 * self.padding[1], channels))
        return self.made(inputs[0].dtype, (rows, columns, self.kernel[0] * self.kernel[1] * channels))

    def bind(self, constants: Constants) -> Run:
        return self.run

    def run(self, out: np.ndarray, x: np.ndarray) -> None:
        (kh, kw), (sh, sw), (ph, pw), (dh, dw) = self.kernel, self.stride, self.padding, self.dilation
        if ph or pw:
            n, height, width, channels = x.shape
            padded = np.full((n, height + 2 * ph, width + 2 * pw, channels), self.fill, x.dtype)
            padded[:, ph : ph + height, pw : pw + width] = x
            x = padded
        n, height, width, channels = x.shape
        oh, ow = out_size(height, kh, sh, 0, dh), out_size(width, kw, sw, 0, dw)
        bn, bh, bw, bc = x.strides
        windows = as_strided(x, (n, oh, ow, kh, kw, channels), (bn, bh * sh, bw * sw, bh * dh, bw * dw, bc))
        np.copyto(out.reshape(windows.shape), windows)

    def detail(self) -> str:
        said = f", {self.kernel[0]}×{self.kernel[1]}"
        for name, value, usual in (("stride", self.stride, (1, 1)), ("dilation", self.dilation, (1, 1))):
            said += f", {name} {value[0]}×{value[1]}" if value != usual else ""
        return said + (
            f", padded {self.padding[0]}×{self.padding[1]} with {self.fill}" if any(self.padding) else ""
        )
