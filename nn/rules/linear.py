"""Products of matrices."""

import math
import operator

import numpy as np

from ..kernels import matmul as product
from .record import rule
from .samples import cases


def column_sums(rows):
    """Σ over the rows of (…, M, N), as a product with ones: BLAS is several times as fast as .sum."""
    ones = np.empty(rows.shape[-2], rows.dtype)
    ones.fill(1)  # half the time of np.ones
    return ones @ rows


def _matmul_vjp(g, saved, needs):
    a, b = saved
    row, column = a.ndim == 1, b.ndim == 1
    if column:  # NumPy takes a 1-D b as a column, and drops that axis from the result
        b, g = b[:, None], g[..., None]
    if row:  # and a 1-D a as a row; the walk sums the axis of length 1 away again
        a, g = a[None], g[..., None, :]
    db = needs[1] and a.mT @ g
    return needs[0] and g @ b.mT, db[..., 0] if needs[1] and column else db


@rule("y = a·b;  da = g·bᵀ, db = aᵀ·g", _matmul_vjp, saves=(0, 1), fresh=True,
    jvp=lambda t, i, saved, out: saved[0] @ t if i else t @ saved[1], samples=cases(
        ((2, 3), (3, 4), {}), ((3,), (3,), {}), ((3,), (3, 4), {}), ((2, 3), (3,), {}), ((2, 2, 3), (3,), {}),
        ((3,), (2, 3, 2), {}), ((2, 2, 3), (3, 2), {}), ((2, 1, 2, 3), (2, 3, 2), {})))
def matmul(a, b):
    try:
        return a @ b, (a, b)
    except ValueError:
        raise ValueError(f"matmul: the shapes {np.shape(a)} and {np.shape(b)} do not fit; "
                         "wanted (…, m, k) and (…, k, n)") from None


def _linear_vjp(g, saved, needs):
    x, w = saved
    n = math.prod(x.shape[:-1])  # -1 in a reshape is ambiguous where there are no inputs or no outputs
    rows = g.reshape(n, w.shape[0])
    times = product if isinstance(g, np.ndarray) else operator.matmul
    return (needs[0] and times(rows, w).reshape(x.shape),
            needs[1] and times(rows.T, x.reshape(n, w.shape[1])), needs[2] and column_sums(rows))


@rule("y = x·wᵀ + b;  dx = g·w, dw = gᵀ·x, db = Σg over the rows", _linear_vjp,
    twin=lambda x, w, b: x @ w.T if b is None else x @ w.T + b, saves=(0, 1), fresh=True,
    jvp=lambda t, i, saved, out: t @ saved[1].T if i == 0 else saved[0] @ t.T if i == 1 else t,
    samples=cases(*((x, (4, 3), (4,), {}) for x in ((5, 3), (3,), (2, 2, 3))), ((5, 3), (4, 3), None, {})))
def linear(x, w, b):
    if w.ndim != 2 or x.ndim < 1 or x.shape[-1] != w.shape[1]:
        raise ValueError(f"linear: x of shape {x.shape} does not fit a weight of shape {w.shape}; "
                         "wanted (..., in) and (out, in)")
    if b is not None and b.shape != w.shape[:1]:
        raise ValueError(f"linear: the bias has shape {b.shape}, wanted {w.shape[:1]} for a weight of shape "
                         f"{w.shape}")
    y = product(x, w.T)
    if b is not None:
        y += b
    return y, (x, w)
