"""Activations and dropout."""

import numpy as np

from .. import kernels
from .record import Rule
from .reductions import along, kept_shape
from .select import only


def _away_from_zero(rng):
    x = rng.uniform(0.1, 2, (3, 4))
    return [([np.where(rng.random(x.shape) < 0.5, x, -x)], {})]


def _rows(rng):
    return [([rng.normal(size=(3, 4))], {"dim": dim}) for dim in (-1, 0)]


def _relu(x):
    y = kernels.relu(x)
    return y, (y,)


def _relu_vjp(g, saved, needs, overwrite_g=False):
    return (kernels.relu_grad(g, saved[0], overwrite_g=overwrite_g),)


# At 0, where the derivative does not exist, the subgradient 0.
relu = Rule(
    "relu", "y = max(x, 0);  dx = g where y > 0, else 0", _relu, _relu_vjp,
    samples=_away_from_zero, fresh=True, symmetric=True, linear=True, overwrites=True, exact=True)


def _dropout_samples(rng):
    return [([rng.normal(size=(3, 4)), rng.random((3, 4)) >= p], {"p": p}) for p in (0.0, 0.4)]


# Srivastava et al., "Dropout" (2014), inverted: what is kept is scaled up while training, so that
# evaluation has nothing to do. `keep` is an input: drawn outside, it makes the rule a function.
def _dropout(x, keep, *, p):
    scale = x.dtype.type(1 / (1 - p) if p < 1 else 0)
    return only(x * scale, keep), (keep, scale)


dropout = Rule(
    "dropout", "y = x/(1 − p) where kept, else 0;  dx = g/(1 − p) there, else 0", _dropout,
    lambda g, saved, needs: (only(g * saved[1], saved[0]), None),
    samples=_dropout_samples, fresh=True, symmetric=True, linear=True)


def _sum(x, dim):
    """The sum of x over `dim`, in a shape that broadcasts against x."""
    return along(x.sum(dim), kept_shape(x.shape, dim))


def _greatest(x, dim):
    return np.maximum.reduce(x, axis=dim, keepdims=True, initial=None if x.size else 0)    # 0: of nothing


def _softmax(x, *, dim=-1):
    with np.errstate(invalid="ignore"):    # a row of −∞ alone, or with ∞ in it, is NaN, as in PyTorch
        y = np.exp(x - _greatest(x, dim))    # the shift cancels; no overflow
    y /= np.add.reduce(y, axis=dim, keepdims=True)
    return y, (y, dim)


def _softmax_vjp(g, saved, needs):
    y, dim = saved
    return (y * (g - _sum(g * y, dim)),)


def _softmax_twin(x, *, dim=-1):
    e = (x - x.amax(dim, keepdim=True).detach()).exp()
    return e / e.sum(dim, keepdim=True)


softmax = Rule(
    "softmax", "y = eˣ/Σeˣ;  dx = y·(g − Σg·y)", _softmax, _softmax_vjp, twin=_softmax_twin,
    samples=_rows, fresh=True, symmetric=True, by_twin=False)


def _log_softmax(x, *, dim=-1):
    with np.errstate(invalid="ignore", divide="ignore"):    # a sum is 0 only of nothing
        shifted = x - _greatest(x, dim)
        y = shifted - np.log(np.add.reduce(np.exp(shifted), axis=dim, keepdims=True))
    return y, (y, dim)


def _log_softmax_vjp(g, saved, needs):
    y, dim = saved
    return (g - np.exp(y) * _sum(g, dim),)


def _log_softmax_jvp(t, i, saved, out, *, dim=-1):
    return t - _sum(np.exp(saved[0]) * t, dim)


log_softmax = Rule(
    "log_softmax", "y = x − log Σeˣ;  dx = g − eʸ·Σg", _log_softmax, _log_softmax_vjp,
    twin=lambda x, *, dim=-1: _softmax_twin(x, dim=dim).log(),
    samples=_rows, fresh=True, jvp=_log_softmax_jvp, by_twin=False)
