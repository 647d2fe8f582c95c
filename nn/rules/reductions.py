"""Sums, means, variances, extremes, places, norms. `dim` is an int, a tuple of ints, or None for all axes."""

import math

import numpy as np

from .checks import floats
from .choices import only, without
from .record import CONSTANT, OUTPUT, Rule, rule
from .samples import beside, cases


def kept_shape(shape, dim):
    """`shape` with the reduced axes at length 1; () for all axes (a scalar broadcasts as it is)."""
    if dim is None or not shape:
        return ()
    axes = {d % len(shape) for d in (dim if isinstance(dim, tuple) else (dim,))}
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def along(g, kept):
    """A reduction's gradient in a shape that broadcasts against the reduction's input."""
    return g.reshape(kept) if kept else g


def mean_of(x, dims):
    """The mean of a Tensor, each axis kept at length 1; 0 for an empty input."""
    return (x.mean if x.size else x.sum)(dims, keepdim=True)


def _count(x, total, dim, name):
    """How many numbers went into each entry of `total`."""
    floats(name, x)
    if x.size:
        return x.size // total.size
    axes = range(x.ndim) if dim is None else dim if isinstance(dim, tuple) else (dim,)
    n = math.prod(x.shape[axis] for axis in axes)
    if not n:
        raise ValueError(f"{name}: the input of shape {x.shape} is empty")
    return n  # `total` has no entries


_WAYS = [{"dim": dim, "keepdim": keepdim} for dim, keepdim in (
    (None, False), (None, True), (1, False), (-1, True), ((0, 2), False), ((0, -1), True))]
_samples = cases(*(((2, 3, 4), way) for way in _WAYS))


sum = Rule(
    "sum", "y = Σxᵢ;  dxᵢ = g", lambda x, *, dim=None, keepdim=False: (
        np.add.reduce(x, axis=dim, keepdims=keepdim), kept_shape(x.shape, dim)),
    lambda g, kept, needs: (along(g, kept),), samples=_samples, saves=CONSTANT, linear=True)


@rule("y = (Σxᵢ)/n;  dxᵢ = g/n", lambda g, saved, needs: (along(g, saved[1:]) / saved[0],), samples=_samples,
    saves=CONSTANT, linear=True)
def mean(x, *, dim=None, keepdim=False):
    total = np.add.reduce(x, axis=dim, keepdims=keepdim)
    n = _count(x, total, dim, "mean")
    return total / n, (n, *kept_shape(x.shape, dim))


def _var(name, x, dim, correction, keepdim):
    total = np.add.reduce(x, axis=dim, keepdims=True)
    n = _count(x, total, dim, name)
    if n <= correction:
        raise ValueError(f"{name}: {n} values and a correction of {correction} leave no degree of freedom")
    centred = x - total / n
    y = np.add.reduce(centred * centred, axis=dim, keepdims=keepdim) / (n - correction)
    return y, (centred, n - correction, *kept_shape(x.shape, dim))


def _var_twin(x, *, dim=None, correction=1, keepdim=False):
    total = ((x - x.mean(dim, keepdim=True)) ** 2).sum(dim, keepdim)
    return total / (x.size // (total.size or 1) - correction)


var = Rule("var", "y = Σ(xᵢ − x̄)²/(n − c);  dxᵢ = g·2(xᵢ − x̄)/(n − c)",
    lambda x, *, dim=None, correction=1, keepdim=False: _var("var", x, dim, correction, keepdim),
    lambda g, saved, needs: (along(g, saved[2:]) * (2 / saved[1]) * saved[0],), twin=_var_twin,
    samples=cases(*(((2, 3, 4), {**way, **more}) for more in ({}, {"correction": 0}) for way in _WAYS)),
    fresh=True)


def _std_vjp(g, saved, needs):
    y, centred, freedom, *kept = saved
    equal = y == 0  # all xᵢ are equal: the gradient is 0, as in PyTorch
    return (along(without(g / (freedom * (y + equal)), equal), kept) * centred,)


@rule("y = √(Σ(xᵢ − x̄)²/(n − c));  dxᵢ = g·(xᵢ − x̄)/(n − c)/y", _std_vjp,
    twin=lambda x, **how: ((v := x.var(**how)) + (v == 0)).sqrt().where(v != 0, 0),  # 0 for √0, as above
    samples=var.samples, fresh=True)
def std(x, *, dim=None, correction=1, keepdim=False):
    y, saved = _var("std", x, dim, correction, keepdim)
    return (y := np.sqrt(y)), (y, *saved)


def _extreme(name, reduce):
    def forward(x, *, dim=None, keepdim=False):
        y = reduce(x, axis=dim, keepdims=True)
        return y if keepdim else y.squeeze(dim), (x, y, dim)

    def vjp(g, saved, needs):
        x, y, dim = saved
        ties, kept = x == y, kept_shape(x.shape, dim)
        ties = ties | np.isnan(x) if np.isnan(y).any() else ties  # a NaN is the extreme, but equals nothing
        return (only(along(g, kept) / along(np.add.reduce(ties.astype(g.dtype), axis=dim), kept), ties),)

    return Rule(name, f"y = {name} xᵢ;  dxᵢ = g/(number of ties) where xᵢ = y, else 0", forward, vjp,
                samples=_samples, saves=CONSTANT, fresh=True, exact=True)


# An extreme that k entries share has no derivative. Of its subgradients this is the symmetric one.
max = _extreme("max", np.maximum.reduce)
min = _extreme("min", np.minimum.reduce)


def _found(name, what, find):
    return Rule(name, f"y = {what}: no gradient", exact=True,
                forward=lambda x, *, dim=None, keepdim=False: (find(x, axis=dim, keepdims=keepdim), None))


any = _found("any", "whether any entry is not 0", np.any)
all = _found("all", "whether no entry is 0", np.all)
argmax = _found("argmax", "the first i at which xᵢ is greatest", np.argmax)
argmin = _found("argmin", "the first i at which xᵢ is least", np.argmin)


@rule("y = the places of the entries in the order of their size: no gradient")
def argsort(x, *, dim=-1, descending=False):
    """Equal entries keep their order, either way; NaN counts as greater than all."""
    if not descending:
        return np.argsort(x, axis=dim, kind="stable"), None
    backwards = np.argsort(np.flip(x, dim), axis=dim, kind="stable")
    return x.shape[dim] - 1 - np.flip(backwards, dim), None


def _norm_vjp(g, saved, needs):
    x, y, p, dim, kept = saved
    g, y, slope = along(g, kept), along(y, kept), np.sign(x)
    if p == 0:  # a count changes nowhere
        return (g * slope * 0,)
    if np.isinf(p):
        ties = (np.abs(x) == y).astype(x.dtype)
        return (g * slope * ties / along(ties.sum(dim), kept),)
    if p != 1:  # 1 in the place of a 0, in |x| as in y: sign x is 0 there, and so is the gradient
        slope = slope * ((np.abs(x) + (x == 0)) / (y + (y == 0))) ** (p - 1)
    if p < 0:  # a single 0 makes y = 0, where PyTorch's gradient is 0
        slope = slope * (y != 0)
    return (g * slope,)


# Where x is 0 the norm has no derivative; the subgradient 0, as in PyTorch.
@rule("y = (Σ|xᵢ|ᵖ)¹ᐟᵖ;  dxᵢ = g·sign xᵢ·(|xᵢ|/y)ᵖ⁻¹, 0 where xᵢ = 0", _norm_vjp,
    saves=(0, OUTPUT, CONSTANT, CONSTANT, CONSTANT), fresh=True, samples=cases(
        *((beside(0.5, 2, (2, 3, 4)), {"p": p, "dim": dim, "keepdim": keepdim}) for p, dim, keepdim in (
            (2.0, None, False), (2.0, 1, True), (3.0, -1, False), (1.0, (0, 2), False), (1.5, (0, -1), True),
            (-2.0, 1, False), (np.inf, 1, False), (-np.inf, (0, 1), True)))))
def norm(x, *, p=2.0, dim=None, keepdim=False):
    """Scaled by m, an extreme of |x|: m·(Σ(|xᵢ|/m)ᵖ)¹ᐟᵖ does not overflow."""
    floats("norm", x)
    dim = None if dim == () else dim  # as in PyTorch
    size = np.abs(x)
    if p == 0:
        y = np.add.reduce(size != 0, axis=dim, keepdims=keepdim)
    else:
        least = {"initial": 0} if 0 < p < np.inf else {}  # of no numbers, the sum is 0
        m = (np.maximum if p > 0 else np.minimum).reduce(size, axis=dim, keepdims=True, **least)
        scale = np.where(np.isfinite(m) & (m != 0), m, 1).astype(x.dtype, copy=False)
        if np.isinf(p):
            y = m
        else:
            with np.errstate(divide="ignore", over="ignore"):  # 0ᵖ = ∞ for a negative p, and the norm is 0
                y = np.add.reduce((size / scale) ** p, axis=dim, keepdims=True) ** (1 / p) * scale
        y = y if keepdim else y.squeeze(dim)
    y = np.asarray(y).astype(x.dtype, copy=False)
    return y, (x, y, p, dim, kept_shape(x.shape, dim))
