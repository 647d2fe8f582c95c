"""Layers: Modules that own the weights of one operation. Names, signatures and keys are PyTorch's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from nn import functional as F
from nn import random
from nn.mode import mode
from nn.module import Module, Parameter
from nn.tensor import Tensor

__all__ = [
    "AvgPool2d", "BatchNorm1d", "BatchNorm2d", "Conv2d", "Dropout", "Flatten", "Linear", "MaxPool2d", "ReLU",
    "Sequential",
]  # fmt: skip

Pair = int | tuple[int, int]


class Sequential(Module):
    """Modules one after another, named "0", "1", … or by the keys of one mapping."""

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        named: Mapping[str, object] = {str(i): module for i, module in enumerate(modules)}
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            named = modules[0]
        for name, module in named.items():
            if not isinstance(module, Module):
                raise TypeError(f"Sequential: {name} must be a Module, got {type(module).__name__}")
            setattr(self, name, module)

    def forward(self, x: Tensor) -> Tensor:
        for module in self:
            x = module(x)
        return x

    def __iter__(self) -> Iterator[Module]:
        return (module for _, module in self.named_children())

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __getitem__(self, index: int) -> Module:
        return list(iter(self))[index]


class Linear(Module):
    """y = x Wᵀ + b for x (..., in_features); weight (out_features, in_features)."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
    ) -> None:
        _positive(self, in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.weight, self.bias = _initial((out_features, in_features), bias, rng)

    def forward(self, x: Tensor) -> Tensor:
        shape = _shape(self, x)
        if not shape or shape[-1] != self.in_features:
            raise _wrong_input(self, x, f"(..., {self.in_features})")
        return F.linear(x, self.weight.viewed(), None if self.bias is None else self.bias.viewed())

    def extra_repr(self) -> str:
        bias = self.bias is not None
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={bias}"


class Conv2d(Module):
    """Cross-correlation of x (N, in_channels, H, W); weight (out_channels, in_channels/groups, kH, kW)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
    ) -> None:
        _positive(self, in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"Conv2d: groups={groups} must divide {in_channels} and {out_channels} channels")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = _pair(self, "kernel_size", kernel_size, 1)
        self.stride = _pair(self, "stride", stride, 1)
        self.padding = _pair(self, "padding", padding, 0)
        self.dilation = _pair(self, "dilation", dilation, 1)
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight, self.bias = _initial(shape, bias, rng)

    def forward(self, x: Tensor) -> Tensor:
        shape = _shape(self, x)
        if len(shape) != 4 or shape[1] != self.in_channels:
            raise _wrong_input(self, x, f"(N, {self.in_channels}, H, W)")
        bias = None if self.bias is None else self.bias.viewed()
        weight = self.weight.viewed()
        return F.conv2d(x, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}"
        text += f", kernel_size={self.kernel_size}, stride={self.stride}"
        for name, usual in (("padding", (0, 0)), ("dilation", (1, 1)), ("groups", 1)):
            if getattr(self, name) != usual:
                text += f", {name}={getattr(self, name)}"
        return text + ("" if self.bias is not None else ", bias=False")


class _BatchNorm(Module):
    """Batch normalisation (Ioffe & Szegedy 2015, algorithms 1 and 2).

    While training, by the batch's mean and biased variance; the running variance takes the unbiased one.
    """

    shapes = ""

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = True
    ) -> None:
        _positive(self, num_features=num_features)
        if not (eps > 0 and 0 <= momentum <= 1):
            name = type(self).__name__
            raise ValueError(f"{name}: wanted eps > 0 and momentum in 0..1, got {eps} and {momentum}")
        self.num_features, self.eps, self.momentum, self.affine = num_features, eps, momentum, affine
        self.weight = Parameter(np.ones(num_features, np.float32)) if affine else None
        self.bias = Parameter(np.zeros(num_features, np.float32)) if affine else None
        self.register_buffer("running_mean", np.zeros(num_features, np.float32))
        self.register_buffer("running_var", np.ones(num_features, np.float32))
        self.register_buffer("num_batches_tracked", np.zeros((), np.int64))

    def _fits(self, x: Tensor) -> bool:
        return x.ndim == 4

    def forward(self, x: Tensor) -> Tensor:
        shape = _shape(self, x)
        if not self._fits(x) or shape[1] != self.num_features:
            raise _wrong_input(self, x, self.shapes.format(self.num_features))
        out = F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            None if self.weight is None else self.weight.viewed(),
            None if self.bias is None else self.bias.viewed(),
            self.training,
            self.momentum,
            self.eps,
        )
        if self.training and not mode.replaying:
            self.num_batches_tracked += 1
        return out

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}"


class BatchNorm1d(_BatchNorm):
    __doc__ = _BatchNorm.__doc__
    shapes = "(N, {0}) or (N, {0}, L)"

    def _fits(self, x: Tensor) -> bool:
        return x.ndim in (2, 3)


class BatchNorm2d(_BatchNorm):
    __doc__ = _BatchNorm.__doc__
    shapes = "(N, {0}, H, W)"


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x)


class _Pool2d(Module):
    def __init__(self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> None:
        self.kernel_size = _pair(self, "kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else _pair(self, "stride", stride, 1)
        self.padding = _pair(self, "padding", padding, 0)
        if any(2 * pad > size for pad, size in zip(self.padding, self.kernel_size, strict=True)):
            raise ValueError(
                f"{type(self).__name__}: padding {self.padding} is over half of the kernel {self.kernel_size}"
            )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxPool2d(_Pool2d):
    """The largest value of each window of x (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        if len(_shape(self, x)) != 4:
            raise _wrong_input(self, x, "(N, C, H, W)")
        return F.max_pool2d(x, self.kernel_size, self.stride, self.padding)


class AvgPool2d(_Pool2d):
    """The mean of each window of x (N, C, H, W), padding counted as zeros."""

    def forward(self, x: Tensor) -> Tensor:
        if len(_shape(self, x)) != 4:
            raise _wrong_input(self, x, "(N, C, H, W)")
        return F.avg_pool2d(x, self.kernel_size, self.stride, self.padding)


class Flatten(Module):
    """Dimensions start_dim to end_dim as one; by default all but the batch."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        return F.flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Dropout(Module):
    """While training, zero each value with probability p and scale the others by 1/(1−p).

    Srivastava et al. (2014), with the scaling moved from evaluation to training.
    """

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: p must be in 0..1, got {p}")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"


def _initial(
    shape: tuple[int, ...], bias: bool, rng: np.random.Generator | None
) -> tuple[Parameter, Parameter | None]:
    """A weight and a bias, uniform in ±1/√fan_in.

    That is PyTorch's start: He et al. (2015), eq. 14, bound √(6 / ((1+a²) fan_in)), with a = √5.
    """
    rng = random.generator() if rng is None else rng
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng of a layer must be a numpy.random.Generator, got {type(rng).__name__}")
    bound = 1 / math.sqrt(math.prod(shape[1:]))
    weight = Parameter(rng.uniform(-bound, bound, shape).astype(np.float32))
    return weight, Parameter(rng.uniform(-bound, bound, shape[0]).astype(np.float32)) if bias else None


def _positive(module: Module, **sizes: int) -> None:
    for name, size in sizes.items():
        if not isinstance(size, (int, np.integer)) or size < 1:
            raise ValueError(f"{type(module).__name__}: {name} must be a whole number >= 1, got {size!r}")


def _pair(module: Module, name: str, value: Pair, least: int) -> tuple[int, int]:
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or not all(isinstance(n, (int, np.integer)) and n >= least for n in pair):
        who = f"{type(module).__name__}: {name}"
        raise ValueError(f"{who} must be one or two whole numbers >= {least}, got {value!r}")
    return pair


def _shape(module: Module, x: Tensor) -> tuple[int, ...]:
    """The shape of an input, found to be one."""
    if not isinstance(x, (Tensor, np.ndarray)):
        raise TypeError(f"{module!r}: wanted a Tensor or an array, got {type(x).__name__}")
    return x.shape


def _wrong_input(module: Module, x: Tensor, wanted: str) -> ValueError:
    return ValueError(f"{module!r}: wanted an input of shape {wanted}, got {tuple(x.shape)}")
