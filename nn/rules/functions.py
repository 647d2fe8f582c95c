"""Functions of one number, each entry by itself, written so that nothing overflows far from 0."""

import math

import numpy as np

from .. import kernels
from .choices import without
from .record import CONSTANT, OUTPUT, Rule


def signed(rng):
    """Numbers of both signs, none near 0."""
    x = rng.uniform(0.1, 2, (3, 4))
    return [([np.where(rng.random(x.shape) < 0.5, x, -x)], {}), ([rng.uniform(0.5, 2, ())], {})]


tanh = Rule("tanh", "y = tanh x;  dx = g·(1 − y²)", lambda x: (y := np.tanh(x), (y,)),
    lambda g, saved, needs: (g * (1 - saved[0] * saved[0]),), samples=signed, saves=(OUTPUT,), fresh=True,
    symmetric=True, method=True)


def logistic(x):
    """σ(x) = 1/(1 + e⁻ˣ), by the exponential of −|x| alone: no overflow, and no digits lost for x ≪ 0."""
    left = (x < 0).astype(x.dtype)
    e = np.exp(x * (2 * left - 1))
    return (1 - left + left * e) / (1 + e)


sigmoid = Rule(
    "sigmoid", "y = 1/(1 + e⁻ˣ);  dx = g·y·(1 − y)", lambda x: (y := logistic(np.asarray(x)), (y,)),
    lambda g, saved, needs: (g * saved[0] * (1 - saved[0]),), twin=lambda x: 1 / (1 + (-x).exp()),
    samples=signed, saves=(OUTPUT,), fresh=True, symmetric=True, method=True)

logsigmoid = Rule("logsigmoid", "y = log 1/(1 + e⁻ˣ);  dx = g/(1 + eˣ)",
    lambda x: (np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x))), (x,)),
    lambda g, saved, needs: (g * logistic(-saved[0]),), twin=lambda x: x.sigmoid().log(), samples=signed,
    saves=(0,), fresh=True, symmetric=True, method=True)

sin = Rule("sin", "y = sin x;  dx = g·cos x", lambda x: (np.sin(x), (x,)),
    lambda g, saved, needs: (g * np.cos(saved[0]),), samples=signed, saves=(0,), fresh=True, symmetric=True,
    method=True)

cos = Rule("cos", "y = cos x;  dx = −g·sin x", lambda x: (np.cos(x), (x,)),
    lambda g, saved, needs: (-g * np.sin(saved[0]),), samples=signed, saves=(0,), fresh=True, symmetric=True,
    method=True)


def of_each(kernel, x):
    """What `kernel` makes of each entry of x, as the forward of a rule."""
    x = np.asarray(x)
    x = x if x.dtype.kind == "f" else x.astype(np.float64)  # as NumPy's own functions do with integers
    return kernel(x), (x,)


# erf x = 2/√π ∫₀ˣ e^(−t²) dt, the error function.
erf = Rule("erf", "y = 2/√π ∫₀ˣ e^(−t²) dt;  dx = g·2/√π·e^(−x²)", lambda x: of_each(kernels.erf, x),
    lambda g, saved, needs: (g * np.exp(-saved[0] * saved[0]) * (2 / math.pi ** 0.5),), samples=signed,
    saves=(0,), fresh=True, symmetric=True, method=True)

sign = Rule("sign", "y = −1, 0 or 1: no gradient", lambda x: (np.sign(x), None), exact=True, method=True)


def times_sign(g, x):
    """g·sign x, and 0 where x is 0 and g infinite."""
    y, zeros = g * np.sign(x), x == 0
    return without(y, zeros) if zeros.any() else y


# At 0, where the derivative does not exist, the subgradient 0.
abs = Rule("abs", "y = |x|;  dx = g·sign x", lambda x: (np.abs(x), (x,)),
    lambda g, saved, needs: (times_sign(g, saved[0]),), samples=signed, saves=CONSTANT, fresh=True,
    symmetric=True, exact=True, method=True)
