"""Normalisation: over the batch, over each example, over groups of channels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..arguments import count, flag
from ..context import ambient
from ..rules import checks, normalisation
from ..tensor import Operand, Tensor, apply
from ..versions import wrote
from .half import rounded_once
from .shapes import as_tensor


def batch_norm(input: Operand, running_mean: Operand | None, running_var: Operand | None,
               weight: Operand | None = None, bias: Operand | None = None, training: bool = False,
               momentum: float = 0.1, eps: float = 1e-5) -> Tensor:
    """Normalise each channel (axis 1) of input to mean 0 and variance 1, then scale by weight and add bias.

    training: by the batch's own mean and (biased) variance; running_mean and running_var (Tensors or arrays
    of shape (C,), or None) move towards them in place by `momentum`, the variance as its unbiased estimate.
    Else, in evaluation: by running_mean and running_var. eps is added to the variance. Ioffe & Szegedy
    (2015). Raises ValueError for settings and shapes that do not fit, for one value per channel in training,
    and for no running statistics in evaluation.
    """
    for name, number in (("momentum", momentum), ("eps", eps)):
        if not isinstance(number, (int, float, np.number)) or not 0 <= number < np.inf:
            raise ValueError(f"batch_norm: {name} is {number!r}, wanted a number of at least 0")
    if not flag("batch_norm", "training", training):
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm: running_mean and running_var are wanted in evaluation")
        return apply(normalisation.batch_norm_eval, input, weight, bias, running_mean, running_var, eps=eps)
    once = not ambient.context.replaying
    mean, var = (getattr(r, "_data", r) if once else None for r in (running_mean, running_var))
    out = apply(normalisation.batch_norm, input, weight, bias, running_mean=mean, running_var=var,
                momentum=momentum, eps=eps)
    for array in (mean, var):
        if array is not None:
            wrote(array)
    return out


def layer_norm(input: Operand, normalized_shape: Sequence[int], weight: Operand | None = None,
               bias: Operand | None = None, eps: float = 1e-5) -> Tensor:
    """Normalise each example of input over its last axes to mean 0 and variance 1. normalized_shape: those
    axes; weight and bias, if given, have that shape. eps is added to the variance. Ba, Kiros & Hinton (2016).
    Raises ValueError for shapes that do not fit."""
    if not isinstance(normalized_shape, (tuple, list)):
        normalized_shape = (normalized_shape,)
    shape = tuple(normalized_shape)
    return apply(normalisation.layer_norm, input, weight, bias, normalized_shape=shape, eps=eps)


@rounded_once
def group_norm(input: Operand, num_groups: int, weight: Operand | None = None, bias: Operand | None = None,
               eps: float = 1e-5) -> Tensor:
    """Normalise each example of input over each of num_groups groups of channels (axis 1) and all pixels.
    weight and bias, if given, have a number for each channel. eps is added to the variance. Wu & He, "Group
    normalization" (2018). It is layer_norm of the groups. Raises ValueError for shapes that do not fit."""
    x = as_tensor(input)
    count("group_norm", "num_groups", num_groups)
    if x.ndim < 2 or x.shape[1] % num_groups:
        raise ValueError(f"group_norm: the input has shape {x.shape}, wanted (N, C, …), C a multiple of "
                         f"{num_groups}")
    n, c, *space = x.shape
    weight, bias = (array if array is None else as_tensor(array) for array in (weight, bias))
    checks.shape_is("group_norm", (c,), x.shape, weight=weight, bias=bias)
    width = c // num_groups * math.prod(space)
    y = layer_norm(x.reshape(n, num_groups, width), width, eps=eps).reshape(*x.shape)
    y = y if weight is None else y * normalisation.per_channel(weight, x.ndim)
    return y if bias is None else y + normalisation.per_channel(bias, x.ndim)
