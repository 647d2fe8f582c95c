"""Multi-head attention, and a layer of a transformer's encoder: Vaswani et al., "Attention is all you need"
(2017), §3.2.2 and §3.1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import functional as F
from .. import init
from ..module import Module
from ..parameter import Parameter
from ..random import chosen
from ..tensor import Tensor
from .activations import Dropout
from .checks import flags, number, positive, shape_of, wrong_input
from .linear import Linear
from .normalisation import LayerNorm

Mask = Tensor | np.ndarray | None


class MultiheadAttention(Module):
    """num_heads attentions in parallel, each over embed_dim/num_heads features of projected inputs.

    in_proj_weight (3·embed_dim, embed_dim) projects to queries, keys and values; with kdim or vdim, the
    widths of keys and values, q_proj_weight, k_proj_weight and v_proj_weight do. Inputs are (L, N, E), or (N,
    L, E) with batch_first, or (L, E). dropout: the probability that an attention weight is 0 while training.
    bias: whether the projections have one. attention: a Module that takes the heads' queries, keys, values
    and is_causal in place of softmax attention, such as a FavorAttention(embed_dim/num_heads); it knows
    neither masks nor weights nor dropout. rng: draws the first weights; nn.random.generator() if left out.
    Raises ValueError for sizes that are invalid or do not divide, and for inputs or masks of other shapes.
    """

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True, *,
                 kdim: int | None = None, vdim: int | None = None, batch_first: bool = False,
                 attention: Module | None = None, rng: np.random.Generator | None = None) -> None:
        kdim, vdim = (embed_dim if width is None else width for width in (kdim, vdim))
        positive(self, embed_dim=embed_dim, num_heads=num_heads, kdim=kdim, vdim=vdim)
        if embed_dim % num_heads:
            raise ValueError(f"MultiheadAttention: num_heads={num_heads} must divide embed_dim={embed_dim}")
        number(self, "dropout", dropout, 0, 1)
        flags(self, bias=bias, batch_first=batch_first)
        self.embed_dim, self.num_heads, self.kdim, self.vdim = embed_dim, num_heads, kdim, vdim
        self.dropout, self.batch_first, self.attention = dropout, batch_first, attention
        rng = chosen(type(self).__name__, "rng", rng)
        shapes = {"q": (embed_dim, embed_dim), "k": (embed_dim, kdim), "v": (embed_dim, vdim)}
        if kdim == vdim == embed_dim:
            shapes = {"in": (3 * embed_dim, embed_dim)}
        for name, shape in shapes.items():
            weight = init.xavier_uniform_(Parameter(np.empty(shape, np.float32)), generator=rng)
            setattr(self, f"{name}_proj_weight", weight)
        self.in_proj_bias = Parameter(np.zeros(3 * embed_dim, np.float32)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, rng=rng)
        if bias:
            init.zeros_(self.out_proj.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Mask = None,
                need_weights: bool = True, attn_mask: Mask = None, average_attn_weights: bool = True,
                is_causal: bool = False) -> tuple[Tensor, Tensor | None]:
        """(output, weights): the values attended to, and their weights, (N, L, S) or (N, heads, L, S).

        Masks: booleans, true at keys to ignore (the opposite of F.scaled_dot_product_attention, as in
        PyTorch), or floats that are added to the scores. key_padding_mask (N, S) is for all queries,
        attn_mask (L, S) or (N·heads, L, S) for all keys. With need_weights=False the weights are None, and a
        query without keys gives 0; else NaN. is_causal, without an attn_mask: query i attends to keys 0 … i.
        """
        need_weights, average_attn_weights, is_causal = flags(
            self, need_weights=need_weights, average_attn_weights=average_attn_weights,
            is_causal=is_causal).values()
        single = len(shape_of(self, query)) == 2
        q, k, v = _projected(self, query, key, value, single)
        n, _, length, _ = q.shape
        masked = attn_mask is not None or key_padding_mask is not None
        if self.attention is not None and (need_weights or masked):
            raise ValueError(f"MultiheadAttention: {type(self.attention).__name__} has no weights and takes "
                             "no masks; wanted need_weights=False, and no mask")
        causal = is_causal and not need_weights and attn_mask is None and key_padding_mask is None
        mask = _mask(q, k, key_padding_mask, attn_mask, is_causal and not causal)
        p = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = (q * (1 / q.shape[-1] ** 0.5)) @ k.mT
            weights = F.dropout(F.softmax(scores if mask is None else scores + mask), p)
            found = weights @ v
            weights = weights.mean(1) if average_attn_weights else weights
            weights = weights.squeeze(0) if single else weights
        elif self.attention is not None:
            found = self.attention(q, k, v, is_causal=causal)
        else:
            found = F.scaled_dot_product_attention(q, k, v, mask, p, causal)
        found = self.out_proj(found.permute(0, 2, 1, 3).reshape(n, length, self.embed_dim))
        return found.squeeze(0) if single else found if self.batch_first else found.transpose(0, 1), weights

    def extra_repr(self) -> str:
        return f"{self.embed_dim}, {self.num_heads}, dropout={self.dropout}, batch_first={self.batch_first}"


def _projected(attention, query, key, value, single):
    """Queries, keys and values of each head, (N, heads, L, E/heads)."""
    inputs, widths = (query, key, value), (attention.embed_dim, attention.kdim, attention.vdim)
    for x, width in zip(inputs, widths, strict=True):
        if len(shape_of(attention, x)) != (2 if single else 3) or x.shape[-1] != width:
            wanted = f"(L, {width})" if single else f"(L, N, {width}) or, batch_first, (N, L, {width})"
            raise wrong_input(attention, x, wanted)
    same = query is key is value
    inputs = [x if isinstance(x, Tensor) else Tensor(x) for x in inputs[:1 if same else 3]]
    if single:
        inputs = [x.unsqueeze(0) for x in inputs]
    elif not attention.batch_first:
        inputs = [x.transpose(0, 1) for x in inputs]
    lengths = {x.shape[1] for x in inputs[1:]}  # of keys and values
    if len({x.shape[0] for x in inputs}) > 1 or len(lengths) > 1:
        raise ValueError(f"MultiheadAttention: query {query.shape}, key {key.shape} and value {value.shape} "
                         "do not fit; wanted one batch for all, and one length for key and value")
    bias = None if attention.in_proj_bias is None else attention.in_proj_bias.parametrized()
    names, heads = ("in",) if hasattr(attention, "in_proj_weight") else "qkv", attention.num_heads
    weights = [getattr(attention, f"{name}_proj_weight").parametrized() for name in names]
    if same and len(weights) == 1:
        made = F.linear(inputs[0], *weights, bias).chunk(3, -1)
    else:
        weights = weights[0].chunk(3) if len(weights) == 1 else weights
        biases = (None,) * 3 if bias is None else bias.chunk(3)
        made = (F.linear(*each) for each in zip(inputs, weights, biases, strict=True))
    return [x.reshape(*x.shape[:2], heads, x.shape[2] // heads).permute(0, 2, 1, 3) for x in made]


def _mask(q, k, key_padding_mask, attn_mask, is_causal):
    """What is added to the scores (N, heads, L, S), or None."""
    (n, heads, length, _), keys = q.shape, k.shape[2]
    if attn_mask is None and is_causal:
        attn_mask = np.triu(np.ones((length, keys), bool), 1)
    whole = {(length, keys): (length, keys), (n * heads, length, keys): (n, heads, length, keys)}
    of_keys = {(n, keys): (n, 1, 1, keys), (keys,): (1, 1, 1, keys)}
    total = None
    masks = ("attn_mask", attn_mask, whole), ("key_padding_mask", key_padding_mask, of_keys)
    for name, mask, shapes in masks:
        if mask is None:
            continue
        if mask.shape not in shapes:
            raise ValueError(f"MultiheadAttention: {name} has shape {mask.shape}, wanted "
                             f"{' or '.join(map(str, shapes))}")
        if mask.dtype == bool:
            where = F.where if isinstance(mask, Tensor) else np.where  # a trace hears of a Tensor's
            mask = where(mask, np.full((), -np.inf, q.dtype), np.zeros((), q.dtype))
        elif mask.dtype.kind != "f":
            raise TypeError(f"MultiheadAttention: {name} must be booleans or floats, got {mask.dtype}")
        mask = mask.reshape(shapes[mask.shape])
        total = mask if total is None else total + mask
    return total


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
        rng = chosen(type(self).__name__, "rng", rng)
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
