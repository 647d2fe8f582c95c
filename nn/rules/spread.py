"""Reductions beyond sums and extremes: standard deviation, log-sum-exp, argmin."""

import numpy as np

from . import reductions
from .record import CONSTANT, OUTPUT, Rule
from .reductions import along, kept_shape
from .select import without


def _std(x, *, dim=None, correction=1, keepdim=False):
    try:
        y, saved = reductions.var.forward(x, dim=dim, correction=correction, keepdim=keepdim)
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace("var:", "std:", 1)) from None
    y = np.sqrt(y)
    return y, (y, *saved)


def _std_vjp(g, saved, needs):
    y, centred, freedom, *kept = saved
    equal = y == 0    # all xᵢ: then 0, as PyTorch's gradient
    g = without(g / (freedom * (y + equal)), equal)
    return (along(g, kept) * centred,)


def _std_jvp(t, i, saved, out, *, dim=None, keepdim=False, **attrs):
    y, *of_var = saved
    equal = y == 0
    return without(reductions.var.jvp(t, i, of_var, out, dim=dim, keepdim=keepdim) / (2 * (y + equal)), equal)


def _std_twin(x, *, dim=None, correction=1, keepdim=False):
    var = x.var(dim, correction, keepdim)
    return (var + (var == 0)).sqrt().where(var != 0, 0)    # √0 has no derivative; 0, as above


std = Rule(
    "std", "y = √(Σ(xᵢ − x̄)²/(n − c));  dxᵢ = g·(xᵢ − x̄)/(n − c)/y", _std, _std_vjp, jvp=_std_jvp,
    twin=_std_twin,
    samples=reductions.var.samples, fresh=True)


def _logsumexp(x, *, dim=None, keepdim=False):
    if x.dtype.kind != "f":
        raise TypeError(f"logsumexp: the input is {x.dtype}; convert it to a floating-point dtype first")
    top = np.maximum.reduce(x, axis=dim, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0).astype(x.dtype, copy=False)    # ∞ − ∞ is no number
    with np.errstate(divide="ignore", over="ignore"):    # log 0 = −∞ and e^∞ = ∞ are what is meant
        y = np.log(np.add.reduce(np.exp(x - top), axis=dim, keepdims=True))
    y += top
    if not keepdim:
        y = y.squeeze(tuple(range(x.ndim)) if dim is None else dim)
    return y, (x, y, dim)


def _logsumexp_vjp(g, saved, needs):
    x, y, dim = saved
    kept = kept_shape(x.shape, dim)
    with np.errstate(invalid="ignore"):    # where y is ±∞ there is no derivative: NaN, as in PyTorch
        return (along(g, kept) * np.exp(x - along(y, kept)),)


def _logsumexp_jvp(t, i, saved, out, *, dim=None, keepdim=False):
    """Σ softmax(x)·t."""
    x, y, _ = saved
    return (t * np.exp(x - along(y, kept_shape(x.shape, dim)))).sum(dim).reshape(out)


def _logsumexp_twin(x, *, dim=None, keepdim=False):
    top = x.amax(dim, keepdim=True).detach()    # any shift cancels; this one overflows nowhere
    y = (x - top).exp().sum(dim, keepdim).log()
    return y + top.reshape(*y.shape)


logsumexp = Rule(
    "logsumexp", "y = log Σeˣ;  dx = g·eˣ⁻ʸ", _logsumexp, _logsumexp_vjp, twin=_logsumexp_twin,
    samples=reductions.sum.samples, saves=(0, OUTPUT, CONSTANT), fresh=True, jvp=_logsumexp_jvp)


def _argmin(x, *, dim=None, keepdim=False):
    return np.argmin(x, axis=dim, keepdims=keepdim), None


argmin = Rule("argmin", "y = the first i at which xᵢ is least: no gradient", _argmin, exact=True)
