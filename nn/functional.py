"""Operations as functions, with PyTorch's names, argument order and layouts.

Inputs are Tensors or arrays; images are (N, C, H, W), weights (out, in) and (O, C/groups, kH, kW).
Shapes that do not fit raise a ValueError that names the operation and the shapes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nn import rules
from nn.backward import wrote
from nn.mode import mode
from nn.random import generator
from nn.tensor import Operand, Tensor, apply


def relu(input: Operand) -> Tensor:
    """max(input, 0); the gradient at 0 is 0."""
    return apply(rules.activations.relu, input)


def softmax(input: Operand, dim: int = -1) -> Tensor:
    """eˣ/Σeˣ over `dim`."""
    return apply(rules.activations.softmax, input, dim=dim)


def log_softmax(input: Operand, dim: int = -1) -> Tensor:
    """x − log Σeˣ over `dim`: the logarithm of softmax, without its underflow."""
    return apply(rules.activations.log_softmax, input, dim=dim)


def dropout(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Each entry is 0 with probability p and scaled by 1/(1 − p) otherwise; the input itself in evaluation.

    Drawn from nn.random.generator(), which nn.manual_seed seeds. Srivastava et al., "Dropout" (2014).
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p is {p}, wanted a probability from 0 to 1")
    if not isinstance(input, (Tensor, np.ndarray)):
        raise TypeError(f"dropout: the input is a {type(input).__name__}, wanted a Tensor or an array")
    if not training or p == 0:
        return input
    keep = generator().random(input.shape, dtype=np.float32) >= p
    return apply(rules.activations.dropout, input, keep, p=p)


def linear(input: Operand, weight: Operand, bias: Operand | None = None) -> Tensor:
    """input·weightᵀ + bias: (…, in), (out, in), (out,) → (…, out)."""
    return apply(rules.linear.linear, input, weight, bias)


def conv2d(input: Operand, weight: Operand, bias: Operand | None = None, stride: int | tuple[int, int] = 1,
           padding: int | tuple[int, int] = 0, dilation: int | tuple[int, int] = 1,
           groups: int = 1) -> Tensor:
    """(N, C, H, W), (O, C/groups, kH, kW), (O,) → (N, O, H', W'), H' = ⌊(H + 2p − d(kH − 1) − 1)/s⌋ + 1.

    stride, padding and dilation are ints or pairs (vertical, horizontal). The result's memory is
    channels-last, which the other image operations keep.
    """
    return apply(rules.conv.conv2d, input, weight, bias,
                 stride=stride, padding=padding, dilation=dilation, groups=groups)


def max_pool2d(input: Operand, kernel_size: int | tuple[int, int],
               stride: int | tuple[int, int] | None = None, padding: int | tuple[int, int] = 0) -> Tensor:
    """The greatest value in each window; stride is kernel_size if left out.

    Of equal values the first, in reading order, takes the gradient.
    """
    return apply(rules.pool.max_pool2d, input, kernel_size=kernel_size, stride=stride, padding=padding)


def avg_pool2d(input: Operand, kernel_size: int | tuple[int, int],
               stride: int | tuple[int, int] | None = None, padding: int | tuple[int, int] = 0) -> Tensor:
    """The mean of each window, zeros of the padding included; stride is kernel_size if left out."""
    return apply(rules.pool.avg_pool2d, input, kernel_size=kernel_size, stride=stride, padding=padding)


def batch_norm(input: Operand, running_mean: Operand | None, running_var: Operand | None,
               weight: Operand | None = None, bias: Operand | None = None, training: bool = False,
               momentum: float = 0.1, eps: float = 1e-5) -> Tensor:
    """Normalise each channel (axis 1) to mean 0 and variance 1, then scale by weight and add bias.

    Training: by the batch's own mean and (biased) variance; running_mean and running_var (Tensors or
    arrays of shape (C,), or None) move towards them in place by `momentum`, the variance as its
    unbiased estimate. Evaluation: by running_mean and running_var. Ioffe & Szegedy (2015).
    """
    for name, number in (("momentum", momentum), ("eps", eps)):
        if not isinstance(number, (int, float, np.number)) or not 0 <= number < np.inf:
            raise ValueError(f"batch_norm: {name} is {number!r}, wanted a number of at least 0")
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm: running_mean and running_var are wanted in evaluation")
        return apply(rules.normalise.batch_norm_eval, input, weight, bias, running_mean, running_var, eps=eps)
    running = [None if mode.replaying else getattr(r, "_data", r) for r in (running_mean, running_var)]
    out = apply(rules.normalise.batch_norm, input, weight, bias,
                running_mean=running[0], running_var=running[1], momentum=momentum, eps=eps)
    for array in running:
        if array is not None:
            wrote(array)
    return out


def cross_entropy(input: Operand, target: Operand, reduction: str = "mean") -> Tensor:
    """−log softmax(input) at the right class: logits (N, C), integer classes (N,) → a scalar, or (N,).

    reduction: "mean", "sum" or "none". A class outside 0 … C − 1 raises ValueError.
    """
    return _reduced(apply(rules.losses.cross_entropy, input, target), reduction)


def mse_loss(input: Operand, target: Operand, reduction: str = "mean") -> Tensor:
    """(input − target)², of equal shapes; reduction: "mean", "sum" or "none"."""
    return _reduced(apply(rules.losses.mse, input, target), reduction)


def _reduced(losses, reduction):
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction is {reduction!r}, wanted 'mean', 'sum' or 'none'")
    return losses if reduction == "none" else getattr(losses, reduction)()


def flatten(input: Operand, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes start_dim to end_dim as one."""
    return _tensor(input).flatten(start_dim, end_dim)


def cat(tensors: Sequence[Operand], dim: int = 0) -> Tensor:
    """The tensors end to end along `dim`; their other axes must agree."""
    return apply(rules.shapes.cat, *tensors, dim=dim)


def stack(tensors: Sequence[Operand], dim: int = 0) -> Tensor:
    """The tensors side by side along a new axis `dim`; their shapes must agree."""
    return cat([_tensor(t).unsqueeze(dim) for t in tensors], dim)


def _tensor(x):
    return x if isinstance(x, Tensor) else Tensor(x)
