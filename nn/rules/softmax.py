"""Softmax, its logarithm, and log Σeˣ, shifted by the greatest x so that nothing overflows."""

import numpy as np

from .checks import floats
from .record import CONSTANT, OUTPUT, rule
from .reductions import along, kept_shape, sum
from .samples import cases

_samples = cases(*(((3, 4), {"dim": dim}) for dim in (-1, 0)))


def _sum(x, dim):
    """The sum of x over `dim`, in a shape that broadcasts against x."""
    return along(x.sum(dim), kept_shape(x.shape, dim))


def _greatest(x, dim):
    return np.maximum.reduce(x, axis=dim, keepdims=True, initial=None if x.size else 0)  # 0 for an empty x


def _softmax_twin(x, *, dim=-1):
    e = (x - x.amax(dim, keepdim=True).detach()).exp()
    return e / e.sum(dim, keepdim=True)


@rule("y = eˣ/Σeˣ;  dx = y·(g − Σg·y)",
    lambda g, saved, needs: (saved[0] * (g - _sum(g * saved[0], saved[1])),), twin=_softmax_twin,
    samples=_samples, saves=(OUTPUT, CONSTANT), fresh=True, symmetric=True)
def softmax(x, *, dim=-1):
    with np.errstate(invalid="ignore"):  # a row of −∞ alone, or with ∞ in it, is NaN, as in PyTorch
        y = np.exp(x - _greatest(x, dim))  # the shift cancels; no overflow
    y /= np.add.reduce(y, axis=dim, keepdims=True)
    return y, (y, dim)


@rule("y = x − log Σeˣ;  dx = g − eʸ·Σg", lambda g, saved, needs: (g - np.exp(saved[0]) * _sum(g, saved[1]),),
    twin=lambda x, *, dim=-1: _softmax_twin(x, dim=dim).log(), samples=_samples, saves=(OUTPUT, CONSTANT),
    fresh=True, jvp=lambda t, i, saved, out, *, dim=-1: t - _sum(np.exp(saved[0]) * t, dim))
def log_softmax(x, *, dim=-1):
    with np.errstate(invalid="ignore", divide="ignore"):  # only an empty sum is 0
        shifted = x - _greatest(x, dim)
        y = shifted - np.log(np.add.reduce(np.exp(shifted), axis=dim, keepdims=True))
    return y, (y, dim)


def _shares(x, y, dim):
    """∂y/∂x = eˣ⁻ʸ; where y is ±∞ there is no derivative: NaN, as in PyTorch."""
    with np.errstate(invalid="ignore"):
        return np.exp(x - along(y, kept_shape(x.shape, dim)))


def _logsumexp_twin(x, *, dim=None, keepdim=False):
    top = x.amax(dim, keepdim=True).detach()  # any shift cancels; with this one nothing overflows
    y = (x - top).exp().sum(dim, keepdim).log()
    return y + top.reshape(*y.shape)


@rule("y = log Σeˣ;  dx = g·eˣ⁻ʸ",
    lambda g, saved, needs: (along(g, kept_shape(saved[0].shape, saved[2])) * _shares(*saved),),
    jvp=lambda t, i, saved, out, **attrs: (t * _shares(*saved)).sum(saved[2]).reshape(out),
    twin=_logsumexp_twin, samples=sum.samples, saves=(0, OUTPUT, CONSTANT), fresh=True)
def logsumexp(x, *, dim=None, keepdim=False):
    floats("logsumexp", x)
    top = np.maximum.reduce(x, axis=dim, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0).astype(x.dtype, copy=False)  # ∞ − ∞ is no number
    with np.errstate(divide="ignore", over="ignore"):  # log 0 = −∞ and e^∞ = ∞ are right
        y = np.log(np.add.reduce(np.exp(x - top), axis=dim, keepdims=True))
    y = y + top if keepdim else (y + top).squeeze(dim)
    return y, (x, y, dim)
