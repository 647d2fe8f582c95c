"""One layer of a transformer's encoder: Vaswani et al., "Attention is all you need" (2017), §3.1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import functional as F
from ..module import Module
from ..tensor import Tensor
from .activations import Dropout
from .attention import Mask, MultiheadAttention
from .checks import flags, number, positive, source
from .linear import Linear
from .normalisation import LayerNorm

_ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu}


class TransformerEncoderLayer(Module):
    """x + attention(x), normalised; then x + linear2(activation(linear1(x))), normalised.

    d_model: the width E of x (L, N, E), or (N, L, E) with batch_first. nhead: heads of the attention, a
    divisor of d_model. dim_feedforward: the width between linear1 and linear2. dropout: the probability in
    all three places. activation: "relu", "gelu" or any function of a Tensor. layer_norm_eps: what the norms
    add to a variance. norm_first: normalise the input of each part instead of its output (Xiong et al. 2020),
    which trains without a warm-up. bias: whether Linear layers and norms have one. rng: draws the first
    weights; nn.random.generator() if left out.
    Raises ValueError for invalid sizes and activations, and for inputs of other shapes.
    """

    def __init__(self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1,
                 activation: str | Callable[[Tensor], Tensor] = "relu", layer_norm_eps: float = 1e-5,
                 batch_first: bool = False, norm_first: bool = False, bias: bool = True, *,
                 rng: np.random.Generator | None = None) -> None:
        positive(self, d_model=d_model, nhead=nhead, dim_feedforward=dim_feedforward)
        if d_model % nhead:
            raise ValueError(f"TransformerEncoderLayer: nhead={nhead} must divide d_model={d_model}")
        number(self, "dropout", dropout, 0, 1)
        number(self, "layer_norm_eps", layer_norm_eps, 0)
        flags(self, batch_first=batch_first, norm_first=norm_first, bias=bias)
        if not callable(activation) and not (isinstance(activation, str) and activation in _ACTIVATIONS):
            raise ValueError(f"TransformerEncoderLayer: activation must be 'relu', 'gelu' or a function, got "
                             f"{activation!r}")
        rng = source(self, rng)
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, rng=rng)
        self.linear1 = Linear(d_model, dim_feedforward, bias, rng=rng)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, rng=rng)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.activation = _ACTIVATIONS.get(activation, activation)

    def forward(self, src: Tensor, src_mask: Mask = None, src_key_padding_mask: Mask = None,
                is_causal: bool = False) -> Tensor:
        """src (L, N, d_model), or (N, L, d_model) with batch_first; masks as in MultiheadAttention."""
        def attended(x):
            found, _ = self.self_attn(x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal)
            return self.dropout1(found)

        def fed_forward(x):
            return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))

        if self.norm_first:
            x = src + attended(self.norm1(src))
            return x + fed_forward(self.norm2(x))
        x = self.norm1(src + attended(src))
        return self.norm2(x + fed_forward(x))
