"""Normalisation layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import functional as F
from ..context import ambient
from ..module import Module
from ..parameter import Parameter, parametrized
from ..tensor import Tensor
from .checks import flags, number, positive, shape_of, wrong_input


def _start(norm, shape, affine, bias=True):
    """Its weight, of ones, and its bias, of zeros, if there is to be one."""
    norm.weight = Parameter(np.ones(shape, np.float32)) if affine else None
    norm.bias = Parameter(np.zeros(shape, np.float32)) if affine and bias else None


class _BatchNorm(Module):
    """Batch normalisation of each of num_features channels (Ioffe & Szegedy 2015, algorithms 1 and 2).

    While training, by the batch's mean and biased variance; the running variance takes the unbiased one. In
    evaluation by the running ones.
    num_features: the length C of axis 1. eps: what is added to the variance. momentum: how far the running
    statistics move towards a batch's; None for the mean of all batches so far. affine: whether there are a
    weight and a bias (C,), from 1 and 0.
    Raises ValueError for invalid sizes and settings, and for an input of another shape.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1,
                 affine: bool = True) -> None:
        positive(self, num_features=num_features)
        self.num_features, self.eps = num_features, number(self, "eps", eps, 0, above=True)
        self.momentum = momentum if momentum is None else number(self, "momentum", momentum, 0, 1)
        flags(self, affine=affine)
        self.affine = affine
        _start(self, num_features, affine)
        self.register_buffer("running_mean", np.zeros(num_features, np.float32))
        self.register_buffer("running_var", np.ones(num_features, np.float32))
        self.register_buffer("num_batches_tracked", np.zeros((), np.int64))

    def forward(self, x: Tensor) -> Tensor:
        shape, c, images = shape_of(self, x), self.num_features, isinstance(self, BatchNorm2d)
        if len(shape) not in ((4,) if images else (2, 3)) or shape[1] != c:
            raise wrong_input(self, x, f"(N, {c}, H, W)" if images else f"(N, {c}) or (N, {c}, L)")
        share = self.momentum
        if share is None:  # the batch's share in the mean of all; 0 if they are not counted, as in PyTorch
            share = 0.0 if self.num_batches_tracked is None else 1 / (int(self.num_batches_tracked) + 1)
        out = F.batch_norm(x, self.running_mean, self.running_var, *parametrized(self.weight, self.bias),
                           self.training, share, self.eps)
        if self.training and self.num_batches_tracked is not None and not ambient.context.replaying:
            self.num_batches_tracked += 1
        return out

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}"


class BatchNorm1d(_BatchNorm):
    __doc__ = _BatchNorm.__doc__


class BatchNorm2d(_BatchNorm):
    __doc__ = _BatchNorm.__doc__


class LayerNorm(Module):
    """Each example by its own mean and variance over the last axes (Ba, Kiros & Hinton 2016).
    normalized_shape: those axes, an int or a tuple; x is (…, *normalized_shape). eps: what is added to the
    variance. elementwise_affine: whether there are a weight of that shape, 1, and, if `bias`, a bias, 0.
    Raises ValueError for invalid sizes and settings, and for an input of another shape."""

    def __init__(self, normalized_shape: int | Sequence[int], eps: float = 1e-5,
                 elementwise_affine: bool = True, bias: bool = True) -> None:
        shape = normalized_shape if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
        for size in shape or (0,):
            positive(self, normalized_shape=size)
        self.normalized_shape, self.eps = tuple(map(int, shape)), number(self, "eps", eps, 0)
        flags(self, elementwise_affine=elementwise_affine, bias=bias)
        self.elementwise_affine = elementwise_affine
        _start(self, shape, elementwise_affine, bias)

    def forward(self, x: Tensor) -> Tensor:
        if shape_of(self, x)[-len(self.normalized_shape):] != self.normalized_shape:
            raise wrong_input(self, x, f"(..., {', '.join(map(str, self.normalized_shape))})")
        return F.layer_norm(x, self.normalized_shape, *parametrized(self.weight, self.bias), self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Each group of channels of each example x (N, num_channels, …) by its own mean and variance. num_groups:
    a divisor of num_channels. eps: what is added to the variance. affine: whether there are a weight and a
    bias (num_channels,), from 1 and 0. Wu & He (2018). Raises ValueError for invalid sizes and settings, and
    for an input of another shape."""

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        positive(self, num_groups=num_groups, num_channels=num_channels)
        if num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_groups={num_groups} must divide {num_channels} channels")
        self.num_groups, self.num_channels, self.affine = num_groups, num_channels, affine
        self.eps = number(self, "eps", eps, 0)
        flags(self, affine=affine)
        _start(self, num_channels, affine)

    def forward(self, x: Tensor) -> Tensor:
        shape = shape_of(self, x)
        if len(shape) < 2 or shape[1] != self.num_channels:
            raise wrong_input(self, x, f"(N, {self.num_channels}, ...)")
        return F.group_norm(x, self.num_groups, *parametrized(self.weight, self.bias), self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"
