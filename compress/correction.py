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
from typing import Any, NamedTuple

import numpy as np

from nn.tensor import Tensor
from nn.versions import wrote

from .stored import per_channel


class Statistics(NamedTuple):
    """The mean of each channel, and its variance: (C,) each."""

    mean: np.ndarray
    variance: np.ndarray

    def follow(self, batch: "Statistics", share: float) -> None:
        """Running statistics move towards those of a batch, in place, by this share of the way."""
        for running, now in zip(self, batch, strict=True):
            running += share * (now - running)
            wrote(running)


def corrected(product: Callable[[Any, Any], Tensor], weights: tuple[Tensor, Tensor], bias: Any, gamma: Any,
              beta: Any, running: Statistics, eps: float) -> tuple[Tensor, Statistics]:
    """The batch norm of a layer's output, (N, C) or (N, C, …), channels on axis 1; and the statistics of the
    batch, σ² by the unbiased estimate, which the running ones are to follow.

    product(w, b): what the layer makes of its input. weights: Ŵ and W. bias, gamma, beta: (C,) or None.
    running: μ and σ². Raises ValueError for one value per channel, which has no deviation."""
    folded, w = weights
    u = product(w, bias)
    n = u.size // u.shape[1]
    if n < 2:
        raise ValueError(f"batch norm: training wants more than one value per channel, got shape {u.shape}")
    axes = (0, *range(2, u.ndim))
    center = u.mean(dim=axes)
    spread = ((u - per_channel(center, u.ndim - 1)) ** 2).mean(dim=axes)
    before = np.sqrt(running.variance + np.asarray(eps, running.variance.dtype))
    inverse = (spread + eps) ** -0.5
    shift = (-center if bias is None else bias - center) * inverse
    shift = shift if gamma is None else shift * gamma
    shift = shift if beta is None else shift + beta
    y = product(folded, None) * per_channel(inverse * Tensor(before), u.ndim - 1)
    return y + per_channel(shift, u.ndim - 1), Statistics(center.data, spread.data * (n / (n - 1)))
