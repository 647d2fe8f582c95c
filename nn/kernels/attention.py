"""attention and its gradient: softmax attention of many heads, without a matrix of all weights."""

from typing import Any

import numpy as np

from .arguments import F32, U8, number
from .kernel import kernel
from .native import NULL, check, ffi, lib, pointer


@kernel(q="f32[N,H,L,E] pixels", k="f32[N,H,S,E] pixels", v="f32[N,H,S,V] pixels",
        mask="f32|u8[Nm,Hm,Lm,Sm]?", out=("y: f32[N,H,L,V]", "lse: f32[N,H,L]"))
def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray | None = None, *,
              scale: float = 1.0, causal: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """softmax(q·kᵀ·scale + mask)·v of each head, and the logarithm of what each softmax divides by; float32.

    q (N, H, L, E), k (N, H, S, E), v (N, H, S, V) → y (N, H, L, V), lse (N, H, L). Vaswani et al. (2017),
    eq. 1. mask: float32 that is added to the scores, or uint8, 0 where a query may not look; its axes are
    those of the scores (N, H, L, S), or 1. causal: query i sees the keys 0 … i at most. A query that may look
    nowhere gets 0, and lse −∞.

    C holds a block of the scores at a time (Milakov & Gimelshein 2018; Dao et al. 2022): its memory does not
    grow with S. y lies in memory as q does. Bounds: nn/testing/domain_attention.py.
    """
    scores = _scores(q, k, mask, scale, causal)
    top = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    weights = np.exp(scores - np.where(top == -np.inf, 0, top))
    total = weights.sum(axis=-1, keepdims=True)
    with np.errstate(divide="ignore"):
        lse = (top + np.log(total))[..., 0]
    return weights @ v / np.where(total == 0, 1, total), lse


@kernel(g="f32[N,H,L,V] pixels", q="f32[N,H,L,E] pixels", k="f32[N,H,S,E] pixels", v="f32[N,H,S,V] pixels",
        y="f32[N,H,L,V] pixels", lse="f32[N,H,L]", mask="f32|u8[Nm,Hm,Lm,Sm]?",
        out=("dq: f32[N,H,L,E]", "dk: f32[N,H,S,E]", "dv: f32[N,H,S,V]"))
def attention_grad(g: np.ndarray, q: np.ndarray, k: np.ndarray, v: np.ndarray, y: np.ndarray, lse: np.ndarray,
                   mask: np.ndarray | None = None, *, scale: float = 1.0, causal: bool = False
                   ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients (dq, dk, dv) of attention for g = ∂L/∂y, from what it was given and gave; float32.

        p = exp(s − lse)    dv = pᵀ·g    ds = p·(g·vᵀ − Σ g·y)    dq = ds·k·scale    dk = dsᵀ·q·scale

    q, k, v, mask, scale, causal: what attention was given; y, lse: what it gave. The weights p are computed
    anew, a block at a time (Dao et al. 2022, algorithm 4). dq, dk and dv lie in memory as q, k and v do.
    """
    p = np.exp(_scores(q, k, mask, scale, causal) - np.where(lse == -np.inf, np.inf, lse)[..., None])
    ds = p * (g @ v.mT - (g * y).sum(axis=-1, keepdims=True))
    return ds @ k * scale, ds.mT @ q * scale, p.mT @ g


def _scores(q, k, mask, scale, causal):
    """q·kᵀ·scale + mask (N, H, L, S), −∞ where a query may not look."""
    scores = (q * q.dtype.type(scale)) @ k.mT
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == U8 else scores + mask
    if causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    return scores.astype(q.dtype, copy=False)


def _plan(who, q, k, mask, scale, causal) -> tuple[float, bool]:
    number(who, "scale", scale)
    if not isinstance(causal, (bool, np.bool_)):
        raise TypeError(f"{who}: causal must be True or False, got {type(causal).__name__}")
    scores = (*q[:3], k[2])
    if mask is not None and any(size not in (1, wanted)
                                for size, wanted in zip(mask.shape, scores, strict=True)):
        raise ValueError(f"{who}: mask has shape {mask.shape}, wanted {scores}, or 1 in place of a size")
    return float(scale), bool(causal)


def _geometry(q, k, v, mask, y, plan) -> tuple[Any, Any, Any]:
    """What C knows of a call, the address of the mask, and what must be kept."""
    scale, causal = plan
    distances, size = (0, 0, 0, 0), 0
    if mask is not None:
        size = mask.itemsize
        if not mask.flags.aligned or any(stride % size for stride in mask.strides):
            mask = mask.copy()
        distances = [0 if n == 1 else stride // size
                     for n, stride in zip(mask.shape, mask.strides, strict=True)]
    sizes = *q.shape[:3], k.shape[2], q.shape[3], v.shape[3]
    strides = (stride // 4 for x in (q, k, v, y) for stride in x.strides[:3])
    numbers = (*sizes, *strides, *distances, size, causal, scale)
    return ffi.new("nn_attention_geometry *", numbers), NULL if mask is None else pointer(mask), mask


def _like(x: np.ndarray, last: int) -> np.ndarray:
    """An empty array that lies in memory as x does, with another last axis, whose entries are adjacent."""
    made = np.empty_like(x, shape=(*x.shape[:3], last))
    return made if last < 2 or made.strides[3] == 4 else np.empty(made.shape, F32)


def _run(choice, q, k, v, mask, plan) -> tuple[np.ndarray, np.ndarray]:
    y, lse = _like(q, v.shape[3]), np.empty(q.shape[:3], F32)
    at, masks, _kept = _geometry(q, k, v, mask, y, plan)
    check("attention", lib.nn_attention(choice, at, pointer(q), pointer(k), pointer(v), masks, pointer(y),
                                        pointer(lse)))
    return y, lse


attention.runs(_run, plan=_plan)


def _run_grad(choice, g, q, k, v, y, lse, mask, plan) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    made = [_like(x, x.shape[3]) for x in (q, k, v)]
    at, masks, _kept = _geometry(q, k, v, mask, y, plan)
    distances = ffi.new("int64_t[12]", [stride // 4 for x in (g, *made) for stride in x.strides[:3]])
    check("attention_grad", lib.nn_attention_grad(choice, at, distances, *map(pointer, (g, q, k, v, y, lse)),
                                                  masks, *map(pointer, made)))
    return tuple(made)


attention_grad.runs(_run_grad, plan=_plan)
