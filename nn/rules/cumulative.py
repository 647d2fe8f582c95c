"""Products over axes, and running sums and products."""

import numpy as np

from . import shapes
from .choices import only
from .record import CONSTANT, Rule, rule
from .reductions import along, kept_shape
from .samples import beside, between, cases


def _rows(x, dim):
    """(x with the axes `dim` joined at its end; the shape and the order of axes that undo it)."""
    axes = range(x.ndim) if dim is None else [d % x.ndim for d in (dim if isinstance(dim, tuple) else (dim,))]
    order = (*(axis for axis in range(x.ndim) if axis not in axes), *axes)
    turned = x.transpose(order)
    kept = turned.shape[:x.ndim - len(axes)]
    rows = turned.reshape(*kept, int(np.prod(turned.shape[len(kept):])))
    return rows, (turned.shape, tuple(np.argsort(order)))


def _prod_vjp(g, saved, needs):
    """For each entry the product of all before it and all behind it. (y/x would fail at a single zero.)"""
    x, dim = saved
    rows, (shape, back) = _rows(x, dim)
    others = np.ones_like(rows)
    np.cumprod(rows[..., :-1], axis=-1, out=others[..., 1:])
    others[..., :-1] *= np.cumprod(rows[..., :0:-1], axis=-1)[..., ::-1]
    others = others.reshape(shape).transpose(back)
    return (only(along(g, kept_shape(x.shape, dim)), others != 0) * others,)


def _prod_twin(x, *, dim=None, keepdim=False):
    """The last of the running products; of nothing it is 1."""
    kept, (rows, _) = kept_shape(x.shape, dim) or (1,) * x.ndim, _rows(x, dim)
    y = cumprod(rows, dim=-1)[..., -1] if rows.shape[-1] else rows.sum(-1) + 1
    return y.reshape(*kept) if keepdim else y


def _with_a_zero(rng):
    x = beside(0.5, 2, (2, 3, 4))(rng)
    x[0, 1, 2] = 0
    return x


prod = Rule("prod", "y = Πxᵢ;  dxᵢ = g·Πxⱼ over j ≠ i",
    lambda x, *, dim=None, keepdim=False: (np.multiply.reduce(x, axis=dim, keepdims=keepdim), (x, dim)),
    _prod_vjp, twin=_prod_twin, fresh=True, samples=cases(
        *((_with_a_zero, {"dim": dim, "keepdim": keepdim}) for dim, keepdim in (
            (None, False), (1, False), (-1, True), ((0, 2), False), ((0, 1), True)))))


def _cumsum_vjp(g, saved, needs):
    """Each x is part of its own sum and of all behind it: a running sum from the other end."""
    if not g.ndim:
        return (g,)
    (dim,) = saved
    turn = (slice(None),) * dim + (slice(None, None, -1),)
    return (g[turn].cumsum(dim)[turn],)


@rule("y = x₁ + … + xᵢ at i;  dxᵢ = gᵢ + … + gₙ", _cumsum_vjp,
    samples=cases(*(((2, 3, 4), {"dim": dim}) for dim in (0, 1, -1))), saves=CONSTANT, linear=True)
def cumsum(x, *, dim):  # as in PyTorch, a scalar counts as a vector of one
    return np.cumsum(np.atleast_1d(x), axis=dim).reshape(x.shape), (range(x.ndim or 1)[dim],)


def _cumprod_vjp(g, saved, needs):
    """Horner's scheme from the end, sᵢ = gᵢ + xᵢ₊₁·sᵢ₊₁, times the product before: right beside zeros."""
    x, dim = saved
    x, dx = (np.moveaxis(np.atleast_1d(a), dim, 0) for a in (x, g))
    dx = np.array(dx)
    for i in range(len(x) - 2, -1, -1):
        dx[i] += x[i + 1] * dx[i + 1]
    dx[1:] *= np.multiply.accumulate(x[:-1], axis=0)
    return (np.moveaxis(dx, 0, dim).reshape(g.shape),)


def _cumprod_twin(x, *, dim):
    """Products of 2, 4, 8, … neighbours: Hillis & Steele, "Data parallel algorithms" (1986)."""
    y, n, step = (x if x.ndim else x.reshape(1)).movedim(dim, 0), x.shape[dim] if x.ndim else 1, 1
    while step < n:
        pairs, step = y[step:] * y[:n - step], 2 * step
        y = shapes.cat(y[:n - pairs.shape[0]], pairs, dim=0)
    return y.movedim(0, dim).reshape(*x.shape)


@rule("y = x₁·…·xᵢ at i;  dxₖ = Σgᵢ·Πxⱼ over i ≥ k and j ≤ i, j ≠ k", _cumprod_vjp, twin=_cumprod_twin,
    fresh=True, samples=cases(
        *((_with_a_zero, {"dim": dim}) for dim in (0, 1, -1)), (between(0.5, 2, (2, 7)), {"dim": 1})))
def cumprod(x, *, dim):
    y = np.multiply.accumulate(np.atleast_1d(x), axis=dim).reshape(x.shape)
    return y, (x, range(x.ndim or 1)[dim])
