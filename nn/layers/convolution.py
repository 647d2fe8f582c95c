"""Convolution layers."""

from __future__ import annotations

import numpy as np

from nn import functional as F
from nn.layers.checks import Sizes, flags, positive, shape_of, sizes, wrong_input
from nn.layers.start import initial
from nn.module import Module
from nn.tensor import Tensor


class _Conv(Module):
    """What convolutions share: their sizes, the check of an input, and what they print."""

    axes = 2    # of an image; a signal has one

    def _sized(self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups):
        positive(self, in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"{type(self).__name__}: groups={groups} must divide {in_channels} and "
                             f"{out_channels} channels")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = sizes(self, "kernel_size", kernel_size, 1, self.axes)
        self.stride = sizes(self, "stride", stride, 1, self.axes)
        self.padding = sizes(self, "padding", padding, 0, self.axes)
        self.dilation = sizes(self, "dilation", dilation, 1, self.axes)

    def _viewed(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The weight and the bias, for an input that fits."""
        shape = shape_of(self, x)
        if len(shape) != 2 + self.axes or shape[1] != self.in_channels:
            raise wrong_input(self, x, f"(N, {self.in_channels}, {'H, W' if self.axes == 2 else 'L'})")
        return self.weight.viewed(), None if self.bias is None else self.bias.viewed()

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}"
        text += f", kernel_size={self.kernel_size}, stride={self.stride}"
        usual = {"padding": 0, "dilation": 1, "output_padding": 0}
        for name, value in [*((name, (n,) * self.axes) for name, n in usual.items()), ("groups", 1)]:
            if getattr(self, name, value) != value:
                text += f", {name}={getattr(self, name)}"
        return text + ("" if self.bias is not None else ", bias=False")


class Conv2d(_Conv):
    """Cross-correlation of x (N, in_channels, H, W); weight (out_channels, in_channels/groups, kH, kW)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
    ) -> None:
        flags(self, bias=bias)
        self._sized(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight, self.bias = initial(shape, bias, rng)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self._viewed(x)
        return F.conv2d(x, weight, bias, self.stride, self.padding, self.dilation, self.groups)


class Conv1d(_Conv):
    """Cross-correlation of x (N, in_channels, L); weight (out_channels, in_channels/groups, k)."""

    axes = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
    ) -> None:
        flags(self, bias=bias)
        self._sized(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight, self.bias = initial(shape, bias, rng)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self._viewed(x)
        return F.conv1d(x, weight, bias, self.stride, self.padding, self.dilation, self.groups)


class ConvTranspose2d(_Conv):
    """Transposed convolution of x (N, in_channels, H, W); weight (in_channels, out_channels/groups, …)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        *,
        rng: np.random.Generator | None = None,
    ) -> None:
        flags(self, bias=bias)
        self._sized(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        self.output_padding = sizes(self, "output_padding", output_padding, 0)
        shape = (in_channels, out_channels // groups, *self.kernel_size)
        self.weight, self.bias = initial(shape, bias, rng, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self._viewed(x)
        return F.conv_transpose2d(
            x, weight, bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation
        )
