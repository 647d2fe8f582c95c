"""batch_norm, batch_norm_grad: columns normalised by their own mean and variance, and the way back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .arguments import F32, contiguous, vector
from .kernel import kernel
from .native import NUMPY, check, ffi, from_buffer, lib


@kernel
def batch_norm(x: np.ndarray, weight: np.ndarray | None = None, bias: np.ndarray | None = None, *,
               eps: float = 1e-5) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Each column of x (M, C) with mean 0 and variance 1, times weight (C,), plus bias (C,); float32.

    Returns: y (M, C); and for each column its mean, its biased variance, and 1/√(variance + ε). (Ioffe &
    Szegedy 2015, algorithm 1; the rows are the pixels of channels-last images.)

    Sums are of x less its first row, so that a mean that is large beside the deviation costs no digits; the
    bounds are in nn/testing/domain_norm.py.
    Raises TypeError for a wrong type or dtype, ValueError for a wrong shape, M = 0 or an eps < 0.
    """
    wide = x.astype(np.float64)
    mean = wide.mean(axis=0)
    var = ((wide - mean) ** 2).mean(axis=0).astype(np.float32)
    mean = mean.astype(np.float32)
    inverse = 1 / np.sqrt(var + eps)
    y = (x - mean) * (inverse if weight is None else weight * inverse)
    return y if bias is None else y + bias, mean, var, inverse


@kernel
def batch_norm_grad(g: np.ndarray, x: np.ndarray, mean: np.ndarray, inverse: np.ndarray,
                    weight: np.ndarray | None = None, *, dx: bool = True, overwrite_g: bool = False
                    ) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """The gradients (dx, dw, db) of batch_norm for g = ∂L/∂y (M, C), from what it gave back; float32.

        db = Σg    dw = Σ g·x̂    dx = (g − db/M − x̂·dw/M) · weight · inverse    x̂ = (x − mean) · inverse

    dx=False leaves dx out (None). With overwrite_g it is written into g, if that is contiguous and can be
    written to; g must share no memory with the others then. Raises TypeError for a wrong type or dtype,
    ValueError for a wrong shape.
    """
    wide, n = g.astype(np.float64), len(g)
    normal = (x.astype(np.float64) - mean) * inverse
    db, dw = wide.sum(axis=0), (wide * normal).sum(axis=0)
    out = None
    if dx:
        scale = inverse if weight is None else weight * inverse
        out = ((wide - db / n - normal * (dw / n)) * scale).astype(np.float32)
    return out, dw.astype(np.float32), db.astype(np.float32)


def _rows(who: str, name: str, x: Any) -> np.ndarray:
    x = contiguous(who, name, x, 2, F32)
    if not len(x):
        raise ValueError(f"{who}: {name} must have at least one row, got shape {x.shape}")
    return x


def _batch_norm(x: Any, weight: Any = None, bias: Any = None, *, eps: float = 1e-5
                ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    x = _rows("batch_norm", "x", x)
    m, c = x.shape
    weight, bias = (None if v is None else vector("batch_norm", name, v, c, F32)
                    for name, v in (("weight", weight), ("bias", bias)))
    eps = _nonnegative("batch_norm", "eps", eps)
    if batch_norm.choice == NUMPY:
        return batch_norm.reference(x, weight, bias, eps=eps)
    y, mean, var, inverse = np.empty((m, c), F32), *(np.empty(c, F32) for _ in range(3))
    status = lib.nn_batch_norm(batch_norm.choice, m, c, from_buffer(x), _or_null(weight), _or_null(bias), eps,
                               from_buffer(y), from_buffer(mean), from_buffer(var), from_buffer(inverse))
    if status:
        check("batch_norm", status)
    return y, mean, var, inverse


def _batch_norm_grad(g: Any, x: Any, mean: Any, inverse: Any, weight: Any = None, *, dx: bool = True,
                     overwrite_g: bool = False) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    who = "batch_norm_grad"
    g, x = _rows(who, "g", g), _rows(who, "x", x)
    if g.shape != x.shape:
        raise ValueError(f"{who}: g and x must have one shape, got {g.shape} and {x.shape}")
    m, c = x.shape
    mean, inverse = vector(who, "mean", mean, c, F32), vector(who, "inverse", inverse, c, F32)
    weight = None if weight is None else vector(who, "weight", weight, c, F32)
    if batch_norm_grad.choice == NUMPY:
        return batch_norm_grad.reference(g, x, mean, inverse, weight, dx=dx)
    out, dw, db = None, np.empty(c, F32), np.empty(c, F32)
    if dx:
        out = g if overwrite_g and g.flags.writeable else np.empty((m, c), F32)
    status = lib.nn_batch_norm_grad(batch_norm_grad.choice, m, c, from_buffer(g), from_buffer(x),
                                    from_buffer(mean), from_buffer(inverse), _or_null(weight), _or_null(out),
                                    from_buffer(dw), from_buffer(db))
    if status:
        check(who, status)
    return out, dw, db


def _nonnegative(who: str, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise TypeError(f"{who}: {name} must be a number, got {type(value).__name__}")
    if not 0 <= value < math.inf:
        raise ValueError(f"{who}: {name} must be at least 0 and finite, got {value}")
    return float(value)


def _or_null(x: np.ndarray | None) -> Any:
    return ffi.NULL if x is None else from_buffer(x)


batch_norm.bind(_batch_norm)
batch_norm_grad.bind(_batch_norm_grad)
