"""Convolution layers."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from ..functional.convolution import same_padding
from ..module import Module
from ..tensor import Tensor
from .checks import Sizes, flags, positive, shape_of, sizes, wrong_input
from .start import initial

_MODES = ("zeros", "reflect", "replicate", "circular")


class _Conv(Module):
    """What convolutions share: their sizes, the check of an input, and what they print."""

    axes = 2    # of an image; a signal has one
    padding_mode = "zeros"

    def _sized(self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups):
        positive(self, in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"{type(self).__name__}: groups={groups} must divide {in_channels} and "
                             f"{out_channels} channels")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = sizes(self, "kernel_size", kernel_size, 1, self.axes)
        self.stride = sizes(self, "stride", stride, 1, self.axes)
        self.padding = padding
        if not isinstance(padding, str):
            self.padding = sizes(self, "padding", padding, 0, self.axes)
        self.dilation = sizes(self, "dilation", dilation, 1, self.axes)

    def _padded(self, padding_mode):
        """Check a padding by name, and the mode."""
        name, padding = type(self).__name__, self.padding
        if isinstance(padding, str) and padding not in ("valid", "same"):
            raise ValueError(f"{name}: padding must be 'valid', 'same' or numbers, got {padding!r}")
        if padding == "same" and self.stride != (1,) * self.axes:
            raise ValueError(f"{name}: padding='same' wants a stride of 1, got {self.stride}")
        if padding_mode not in _MODES:
            raise ValueError(f"{name}: padding_mode must be one of {', '.join(_MODES)}, got {padding_mode!r}")
        self.padding_mode = padding_mode

    def _surrounded(self, x):
        """The input and the padding that are left for the convolution, which itself pads with zeros."""
        if self.padding_mode == "zeros" or self.padding == "valid":
            return x, self.padding
        widths = [(n, n) for n in self.padding] if self.padding != "same" else \
            same_padding(self.kernel_size, self.dilation)
        return F.pad(x, [n for width in widths[::-1] for n in width], self.padding_mode), 0

    def _parametrized(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The weight and the bias, for an input that fits."""
        shape = shape_of(self, x)
        if len(shape) != 2 + self.axes or shape[1] != self.in_channels:
            raise wrong_input(self, x, f"(N, {self.in_channels}, {'H, W' if self.axes == 2 else 'L'})")
        return self.weight.parametrized(), None if self.bias is None else self.bias.parametrized()

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}"
        text += f", kernel_size={self.kernel_size}, stride={self.stride}"
        usual = {"padding": 0, "dilation": 1, "output_padding": 0}
        others = ("groups", 1), ("padding_mode", "zeros")
        for name, value in [*((name, (n,) * self.axes) for name, n in usual.items()), *others]:
            if getattr(self, name, value) != value:
                text += f", {name}={getattr(self, name)}"
        return text + ("" if self.bias is not None else ", bias=False")


class Conv2d(_Conv):
    """Cross-correlation: x (N, in_channels, H, W) → (N, out_channels, H', W').

    H' = ⌊(H + 2p − d(kH − 1) − 1)/s⌋ + 1, W' alike. kernel_size: (kH, kW), or one number for both, and so
    stride s, padding p and dilation d.
    padding: of how many pixels on all sides; or "valid", none, or "same", so that H' = H (for a stride of 1).
    padding_mode: with what: "zeros", "reflect" (mirrored, the edge not repeated), "replicate" (the edge),
    "circular" (from the other side).
    groups: how many parts the channels are in, each of which sees only itself; a divisor of both numbers.
    bias: whether a number is added for each output channel.
    weight (out_channels, in_channels/groups, kH, kW) and bias (out_channels,) start uniform in ±1/√fan_in,
    drawn from rng, or from nn.random.generator().
    Raises ValueError for sizes and names that are none, and for an input of another shape; TypeError for an
    rng or an input that is none.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        rng: np.random.Generator | None = None,
    ) -> None:
        flags(self, bias=bias)
        self._sized(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        self._padded(padding_mode)
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight, self.bias = initial(shape, bias, rng)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self._parametrized(x)
        x, padding = self._surrounded(x)
        return F.conv2d(x, weight, bias, self.stride, padding, self.dilation, self.groups)


class Conv1d(_Conv):
    """Cross-correlation: x (N, in_channels, L) → (N, out_channels, L').

    L' = ⌊(L + 2p − d(k − 1) − 1)/s⌋ + 1 for ints kernel_size k, stride s, padding p, dilation d.
    padding: of how many entries at both ends; or "valid", none, or "same", so that L' = L (for a stride of
    1). padding_mode: with what: "zeros", "reflect" (mirrored, the edge not repeated), "replicate" (the edge),
    "circular" (from the other side).
    groups: how many parts the channels are in, each of which sees only itself; a divisor of both numbers.
    bias: whether a number is added for each output channel.
    weight (out_channels, in_channels/groups, k) and bias (out_channels,) start uniform in ±1/√fan_in, drawn
    from rng, or from nn.random.generator().
    Raises ValueError for sizes and names that are none, and for an input of another shape; TypeError for an
    rng or an input that is none.
    """

    axes = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        rng: np.random.Generator | None = None,
    ) -> None:
        flags(self, bias=bias)
        self._sized(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        self._padded(padding_mode)
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight, self.bias = initial(shape, bias, rng)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self._parametrized(x)
        x, padding = self._surrounded(x)
        return F.conv1d(x, weight, bias, self.stride, padding, self.dilation, self.groups)


class ConvTranspose2d(_Conv):
    """Transposed convolution: x (N, in_channels, H, W) → (N, out_channels, H', W').

    H' = (H − 1)s − 2p + d(kH − 1) + o + 1, W' alike. kernel_size: (kH, kW), or one number for both, and so
    stride s, padding p, dilation d, and output_padding o, which chooses among the sizes that a convolution
    with this stride takes to H. groups: a divisor of both numbers of channels. bias: whether a number is
    added for each output channel.
    weight (in_channels, out_channels/groups, kH, kW) and bias (out_channels,) start uniform in ±1/√fan_in,
    drawn from rng, or from nn.random.generator().
    Raises ValueError for sizes that are none or do not fit, and for an input of another shape; TypeError for
    an rng or an input that is none.
    """

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
        if isinstance(padding, str):
            raise ValueError(f"ConvTranspose2d: padding must be one or two whole numbers, got {padding!r}")
        self._sized(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        self.output_padding = sizes(self, "output_padding", output_padding, 0)
        shape = (in_channels, out_channels // groups, *self.kernel_size)
        self.weight, self.bias = initial(shape, bias, rng, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self._parametrized(x)
        return F.conv_transpose2d(
            x, weight, bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation
        )
