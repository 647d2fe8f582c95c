"""Units that let all of a great x through and little of a small one."""

import math

import numpy as np

from .functions import logistic, signed
from .record import CONSTANT, DERIVED, Rule
from .select import only


def _leaky_vjp(g, saved, needs):
    x, slope = saved
    if not slope:
        return (only(g, x > 0),)
    return (g * ((x > 0).astype(g.dtype) * (1 - slope) + slope),)


# At 0 the slope of the left, as in PyTorch. Maas, Hannun & Ng, "Rectifier nonlinearities" (2013).
leaky_relu = Rule(
    "leaky_relu", "y = x where x > 0, else s·x;  dx = g there, else s·g",
    lambda x, *, negative_slope=0.01: (np.where(x > 0, x, x * negative_slope), (x, negative_slope)),
    _leaky_vjp,
    samples=lambda rng: [(x, how) for (x, _), how in
                         zip(signed(rng), ({}, {"negative_slope": 0.3}), strict=True)],
    saves=CONSTANT, fresh=True, symmetric=True)


def _silu(x):
    s = logistic(np.asarray(x))
    return x * s, (x, s)


def _silu_vjp(g, saved, needs):
    x, s = saved
    return (g * s * (1 + x * (1 - s)),)


# Elfwing, Uchibe & Doya, "Sigmoid-weighted linear units" (2018), also known as swish.
silu = Rule(
    "silu", "y = x·σ(x);  dx = g·σ(x)·(1 + x·(1 − σ(x)))", _silu, _silu_vjp,
    twin=lambda x: x * x.sigmoid(),
    samples=signed, saves=(0, DERIVED), derive=lambda x: (x.sigmoid(),), fresh=True, symmetric=True)


_ROOT, _CUBIC = math.sqrt(2 / math.pi), 0.044715


def _gelu_tanh(x):
    t = _inner(x)
    return 0.5 * x * (1 + t), (x, t)


def _inner(x):
    return np.tanh(_ROOT * (x + _CUBIC * (x * x * x)))


def _gelu_tanh_vjp(g, saved, needs):
    x, t = saved
    slope = _ROOT * (1 + 3 * _CUBIC * (x * x))
    return (g * 0.5 * (1 + t + x * (1 - t * t) * slope),)


gelu_tanh = Rule(
    "gelu_tanh", "y = x·(1 + t)/2, t = tanh √(2/π)(x + 0.044715·x³);  "
    "dx = g·(1 + t + x·(1 − t²)·√(2/π)(1 + 0.134145·x²))/2", _gelu_tanh, _gelu_tanh_vjp,
    twin=lambda x: 0.5 * x * (1 + _inner(x)),
    samples=signed, saves=(0, DERIVED), derive=lambda x: (_inner(x),), fresh=True, symmetric=True)
