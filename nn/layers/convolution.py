"""Convolution layers."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from .. import init
from ..functional.convolution import same_padding
from ..module import Module
from ..parameter import Parameter, parametrized
from ..random import chosen
from ..rules.checks import one_of
from ..tensor import Tensor
from .checks import Sizes, flags, positive, shape_of, sizes, wrong_input

_MODES = ("zeros", "reflect", "replicate", "circular")


class _Conv(Module):
    def __init__(self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes = 1,
                 padding: Sizes | str = 0, dilation: Sizes = 1, groups: int = 1, bias: bool = True,
                 padding_mode: str = "zeros", *, rng: np.random.Generator | None = None) -> None:
        name, axes = type(self).__name__, 1 if isinstance(self, Conv1d) else 2
        transposes = isinstance(self, ConvTranspose2d)
        flags(self, bias=bias)
        positive(self, in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"{name}: groups={groups} must divide {in_channels} and {out_channels} channels")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = sizes(self, "kernel_size", kernel_size, 1, axes)
        self.stride = sizes(self, "stride", stride, 1, axes)
        self.padding = (one_of(name, "padding", padding, ("valid", "same"), "numbers")
                        if isinstance(padding, str) and not transposes else
                        sizes(self, "padding", padding, 0, axes))
        self.dilation = sizes(self, "dilation", dilation, 1, axes)
        if padding == "same" and set(self.stride) != {1}:
            raise ValueError(f"{name}: padding='same' wants a stride of 1, got {self.stride}")
        self.padding_mode = one_of(name, "padding_mode", padding_mode, _MODES)
        # The weight of a transposed convolution is that of the convolution.
        first, second = (in_channels, out_channels) if transposes else (out_channels, in_channels)
        self.weight = Parameter(np.empty((first, second // groups, *self.kernel_size), np.float32))
        self.bias = Parameter(np.empty(out_channels, np.float32)) if bias else None
        init.fan_in_uniform_(self.weight, self.bias, chosen(name, "rng", rng))

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}"
        text += f", kernel_size={self.kernel_size}, stride={self.stride}"
        usual = {"padding": 0, "dilation": 1, "output_padding": 0, "groups": 1, "padding_mode": "zeros"}
        for name, value in usual.items():
            have = getattr(self, name, value)
            if have not in (value, (value,) * len(self.stride)):
                text += f", {name}={have}"
        return text + ("" if self.bias is not None else ", bias=False")


class Conv2d(_Conv):
    """F.conv2d of x (N, in_channels, H, W) → (N, out_channels, H', W'), with a weight and a bias of its own.

    kernel_size, stride, padding and dilation: pairs (vertical, horizontal), or one number for both, as there.
    padding_mode: what to pad with: "zeros", "reflect" (mirrored, the edge not repeated), "replicate" (the
    edge), "circular" (from the other side). groups: how many parts the channels are in, each convolved by
    itself. bias: whether a number is added for each output channel. weight (out_channels, in_channels/groups,
    kH, kW) and bias (out_channels,) start uniform in ±1/√fan_in, drawn from rng, or from
    nn.random.generator().
    Raises ValueError for invalid sizes and names, and for an input of another shape; TypeError for an rng or
    an input of the wrong type.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(*_operands(self, x), self.dilation, self.groups)


class Conv1d(_Conv):
    """F.conv1d of x (N, in_channels, L) → (N, out_channels, L'), with a weight and a bias of its own.
    kernel_size, stride, padding and dilation are ints; padding_mode, groups, bias and rng are as in Conv2d;
    weight is (out_channels, in_channels/groups, k). Raises what Conv2d raises."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv1d(*_operands(self, x), self.dilation, self.groups)


class ConvTranspose2d(_Conv):
    """F.conv_transpose2d of x (N, in_channels, H, W) → (N, out_channels, H', W'), with a weight of its own.
    kernel_size, stride, padding, output_padding and dilation: pairs, or one number for both axes, as there.
    groups, bias and rng are as in Conv2d; weight is (in_channels, out_channels/groups, kH, kW). Raises what
    Conv2d raises."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes = 1,
                 padding: Sizes = 0, output_padding: Sizes = 0, groups: int = 1, bias: bool = True,
                 dilation: Sizes = 1, *, rng: np.random.Generator | None = None) -> None:
        self.output_padding = sizes(self, "output_padding", output_padding, 0)
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
                         rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        x, weight, bias, stride, padding = _operands(self, x)
        return F.conv_transpose2d(x, weight, bias, stride, padding, self.output_padding, self.groups,
                                  self.dilation)


def _operands(conv, x):
    """(x, weight, bias, stride, padding) of the function, which itself pads with zeros only."""
    shape, axes = shape_of(conv, x), len(conv.kernel_size)
    if len(shape) != 2 + axes or shape[1] != conv.in_channels:
        raise wrong_input(conv, x, f"(N, {conv.in_channels}, {'H, W' if axes == 2 else 'L'})")
    padding = conv.padding
    if conv.padding_mode != "zeros" and padding != "valid":
        same = padding == "same"
        widths = same_padding(conv.kernel_size, conv.dilation) if same else [(n, n) for n in padding]
        x, padding = F.pad(x, [n for width in widths[::-1] for n in width], conv.padding_mode), 0
    return x, *parametrized(conv.weight, conv.bias), conv.stride, padding
