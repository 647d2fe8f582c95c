"""Scaled dot-product attention: Vaswani et al., "Attention is all you need" (2017), eq. 1.

Each query is compared with all keys, and gets the mean of their values, weighted by how well they fit. The
kernels `attention` and `attention_grad` compute it without a matrix of all weights. Its lines in NumPy are
here too, for a second derivative, and for the gradient of a mask, which is such a matrix.
"""

from math import inf, prod

import numpy as np

from .. import kernels
from ..arguments import flag, number
from .choices import only
from .record import rule
from .samples import cases
from .softmax import softmax


def _check(op, q, k, v, mask, is_causal):
    if min(q.ndim, k.ndim, v.ndim) < 2 or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ValueError(f"{op}: query {q.shape}, key {k.shape} and value {v.shape} do not fit; "
                         "wanted (…, L, E), (…, S, E) and (…, S, V)")
    for name, x in (("query", q), ("key", k), ("value", v)):
        if x.dtype.kind != "f":
            raise TypeError(f"{op}: {name} is {x.dtype}, wanted floats")
    if mask is not None and is_causal:
        raise ValueError(f"{op}: attn_mask and is_causal both came; put the causal part into the mask")
    if mask is not None and mask.dtype.kind not in "bf":
        raise TypeError(f"{op}: attn_mask is {mask.dtype}, wanted booleans (True: look there) or floats to "
                        "add")
    given = [x.shape[:-2] for x in (q, k, v)] + ([] if mask is None else [mask.shape[:-2]])
    try:
        np.broadcast_shapes(*given)
        if mask is not None:
            scores = q.shape[-2], k.shape[-2]
            if np.broadcast_shapes(mask.shape[-2:], scores) != scores:
                raise ValueError
    except ValueError:
        came = "" if mask is None else f", attn_mask {mask.shape}"
        raise ValueError(f"{op}: query {q.shape}, key {k.shape}, value {v.shape}{came} do not fit: the axes "
                         "before the last two must broadcast, and a mask to (…, L, S)") from None


def _weights(q, k, mask, is_causal, scale):
    """(How much each query looks at each key, the scale, which queries look anywhere, or None if all do). On
    arrays or Tensors. A query that may look nowhere gets 0, not 0/0."""
    scale = (q.shape[-1] or 1) ** -0.5 if scale is None else float(scale)
    values = mask if mask is None or isinstance(mask, np.ndarray) else mask.data
    if is_causal:  # query i sees the keys 0 … i
        values = np.arange(k.shape[-2]) <= np.arange(q.shape[-2])[:, None]
    bias, scores = values, (q * scale) @ k.mT
    if values is not None and values.dtype == bool:  # 0 is added where a query may look, −∞ where not
        bias = np.where(values, 0, -np.inf).astype(q.dtype)
    if bias is None:
        return softmax(scores, dim=-1), scale, None
    scores = scores + (mask if bias is values else bias)  # it may broadcast
    sees = (bias != -np.inf).any(-1, keepdims=True)
    if sees.all():
        return softmax(scores, dim=-1), scale, None
    return only(softmax(only(scores, sees), dim=-1), sees), scale, sees


def _as_heads(q, k, v, mask):
    """The axes before the last two that all have in the end, and the arrays as the kernels want them, with
    four axes, of one dtype."""
    mask = mask if mask is None else mask.reshape((1,) * (2 - mask.ndim) + mask.shape)
    given = [q, k, v] if mask is None else [q, k, v, mask]
    batch = np.broadcast_shapes(*(x.shape[:-2] for x in given))
    n, heads = (*batch, 1, 1)[:2] if len(batch) < 3 else (prod(batch[:-1]), batch[-1])
    dtype = np.result_type(*(x for x in given if x.dtype != bool))
    q, k, v = (np.broadcast_to(x, (*batch, *x.shape[-2:])).reshape(n, heads, *x.shape[-2:]).astype(
        dtype, copy=False) for x in (q, k, v))
    if mask is not None:
        shape = (1,) * (len(batch) + 2 - mask.ndim) + mask.shape
        if len(batch) > 2:
            mask, shape = np.broadcast_to(mask, (*batch, *shape[-2:])), (n, heads, *shape[-2:])
        mask = mask.reshape(*(*shape[:-2], 1, 1)[:2], *shape[-2:])
        mask = mask.view(np.uint8) if mask.dtype == bool else mask.astype(dtype, copy=False)
    return batch, q, k, v, mask


def _attention_vjp(g, saved, needs):
    q, k, v, y, lse, mask, how, batch = saved
    g, blind = g.reshape(y.shape), lse == -np.inf
    if blind.any():
        g = only(g, ~blind[..., None])
    if needs[3]:
        gradients = _with_that_of_the_mask(g, q, k, v, mask, how["scale"])
    else:
        gradients = (*kernels.attention_grad(g, q, k, v, y, lse, mask, **how), None)
    return tuple(x if x is None else x.reshape(*batch, *x.shape[2:]) for x in gradients)


def _with_that_of_the_mask(g, q, k, v, mask, scale):
    """All four gradients, by the matrix of weights."""
    weights = _weights(q, k, mask, False, scale)[0]
    dweights = g @ v.mT
    dscores = weights * (dweights - (dweights * weights).sum(-1, keepdims=True))
    return dscores @ k * scale, dscores.mT @ q * scale, weights.mT @ g, dscores


@rule("y = p·v, p = softmax(s), s = q·kᵀ/√E + mask;  "
    "dv = pᵀ·g, ds = p·(g·vᵀ − Σp·g·vᵀ), dq = ds·k/√E, dk = dsᵀ·q/√E, dmask = ds", _attention_vjp, fresh=True,
    twin=lambda q, k, v, mask, *, is_causal=False, scale=None: (
        _weights(q, k, mask, is_causal, scale)[0] @ v), samples=cases(
        ((2, 3, 4), (2, 5, 4), (2, 5, 3), None, {}),
        ((2, 2, 3, 4), (2, 2, 3, 4), (2, 2, 3, 4), None, {"is_causal": True}),
        ((3, 4), (2, 5, 4), (5, 2), (3, 5), {"scale": 0.3}),
        ((2, 3, 4), (2, 5, 4), (2, 5, 3), np.arange(15).reshape(3, 5) % 4 < 3, {})))
def scaled_dot_product_attention(q, k, v, mask, *, is_causal=False, scale=None):
    op = "scaled_dot_product_attention"
    _check(op, q, k, v, mask, flag(op, "is_causal", is_causal))
    scale = (q.shape[-1] or 1) ** -0.5 if scale is None else number(op, "scale", scale, -inf)
    how = {"scale": scale, "causal": bool(is_causal)}
    batch, *heads = _as_heads(q, k, v, mask)
    y, lse = kernels.attention(*heads, **how)
    return y.reshape(*batch, *y.shape[2:]), (*heads[:3], y, lse, heads[3], how, batch)
