"""batch_norm, batch_norm_grad: columns normalised by their own mean and variance, and the way back."""

import math

import numpy as np

from .arguments import number
from .kernel import kernel


@kernel(x="f32[M,C]", weight="f32[C]?", bias="f32[C]?",
        out=("y: f32[M,C]", "mean: f32[C]", "var: f32[C]", "inverse: f32[C]"))
def batch_norm(x: np.ndarray, weight: np.ndarray | None = None, bias: np.ndarray | None = None, *,
               eps: float = 1e-5) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Each column of x (M, C) with mean 0 and variance 1, times weight (C,), plus bias (C,); float32.

    Returns: y (M, C); and for each column its mean, its biased variance, and 1/√(variance + ε). (Ioffe &
    Szegedy 2015, algorithm 1; the rows are the pixels of channels-last images.)

    Sums are of x less its first row, so that a mean that is large beside the deviation costs no digits; the
    bounds are in nn/testing/domain_norm.py. M is at least 1, eps at least 0.
    """
    wide = x.astype(np.float64)
    mean = wide.mean(axis=0)
    var = ((wide - mean) ** 2).mean(axis=0).astype(x.dtype)
    mean = mean.astype(x.dtype)
    inverse = 1 / np.sqrt(var + eps)
    y = (x - mean) * (inverse if weight is None else weight * inverse)
    return y if bias is None else y + bias, mean, var, inverse


@kernel(g="f32[M,C]", x="f32[M,C]", mean="f32[C]", inverse="f32[C]", weight="f32[C]?",
        out=("dx: f32[M,C]", "dw: f32[C]", "db: f32[C]"))
def batch_norm_grad(g: np.ndarray, x: np.ndarray, mean: np.ndarray, inverse: np.ndarray,
                    weight: np.ndarray | None = None, *, dx: bool = True, overwrite_g: bool = False
                    ) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """The gradients (dx, dw, db) of batch_norm for g = ∂L/∂y (M, C), from what it gave back; float32.

        db = Σg    dw = Σ g·x̂    dx = (g − db/M − x̂·dw/M) · weight · inverse    x̂ = (x − mean) · inverse

    dx=False leaves dx out (None). With overwrite_g it is written into g, if that is contiguous and can be
    written to; g must share no memory with the others then.
    """
    wide, n = g.astype(np.float64), len(g)
    normal = (x.astype(np.float64) - mean) * inverse
    db, dw = wide.sum(axis=0), (wide * normal).sum(axis=0)
    out = None
    if dx:
        scale = inverse if weight is None else weight * inverse
        out = ((wide - db / n - normal * (dw / n)) * scale).astype(g.dtype)
    return out, dw.astype(g.dtype), db.astype(g.dtype)


def _plan(who, x, eps) -> float:
    _rows(who, x)
    number(who, "eps", eps)
    if not 0 <= eps < math.inf:
        raise ValueError(f"{who}: eps must be at least 0 and finite, got {eps}")
    return float(eps)


def _rows(who, x) -> None:
    if not x[0]:
        raise ValueError(f"{who}: x must have at least one row, got shape {x}")


batch_norm.runs("nn_batch_norm(M, C, x, weight, bias, plan, y, mean, var, inverse)", plan=_plan)
batch_norm_grad.runs("nn_batch_norm_grad(M, C, g, x, mean, inverse, weight, dx, dw, db)", plan=_rows)
