"""Batch norm behind a quantized layer, by the batch's own statistics: folded, with correction.

    u = W∗x + b                 of reals: its mean μ_B and deviation σ_B are the batch's
    Ŵ = γ/σ · W, rounded        σ: the running deviation, which changes slowly
    y = σ/σ_B · (Ŵ∗x) + β + γ·(b − μ_B)/σ_B

(Krishnamoorthi 2018, §3.2.2, eq. 22 to 27). If the weights were folded with σ_B, each batch would round them
to other integers. They are folded with σ, as they will be in the end, and the factor σ/σ_B makes of the sums
what the batch's norm would. Where σ_B = σ and μ_B = μ, that is the network with frozen statistics, which the
integer Program computes. Without rounding it is batch norm, forward and backward: the gradient goes through
μ_B and σ_B."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nn.tensor import Tensor
from nn.versions import wrote

from .stored import per_channel


def corrected(product: Callable[[Any, Any], Tensor], weights: tuple[Tensor, Tensor], bias: Any, gamma: Any,
              beta: Any, running: tuple[np.ndarray, np.ndarray], eps: float, share: float) -> Tensor:
    """The batch norm of a layer's output, (N, C) or (N, C, …), channels on axis 1.

    product(w, b): what the layer makes of its input. weights: Ŵ and W. bias, gamma, beta: (C,) or None.
    running: μ and σ², which move by `share` towards those of the batch, in place, σ² towards the unbiased
    estimate. Raises ValueError for one value per channel, which has no deviation."""
    folded, w = weights
    (mean, variance), u = running, product(w, bias)
    n = u.size // u.shape[1]
    if n < 2:
        raise ValueError(f"batch norm: training wants more than one value per channel, got shape {u.shape}")
    axes = (0, *range(2, u.ndim))
    center = u.mean(dim=axes)
    spread = ((u - per_channel(center, u.ndim - 1)) ** 2).mean(dim=axes)
    before = np.sqrt(variance + np.asarray(eps, variance.dtype))
    inverse = (spread + eps) ** -0.5
    shift = (-center if bias is None else bias - center) * inverse
    shift = shift if gamma is None else shift * gamma
    shift = shift if beta is None else shift + beta
    y = product(folded, None) * per_channel(inverse * Tensor(before), u.ndim - 1)
    mean += share * (center.data - mean)
    variance += share * (spread.data * (n / (n - 1)) - variance)
    wrote(mean)
    wrote(variance)
    return y + per_channel(shift, u.ndim - 1)
