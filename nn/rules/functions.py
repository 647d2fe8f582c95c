"""Functions of one number, each entry by itself, written so that nothing overflows far from 0."""

import math

import numpy as np

from .. import kernels
from .choices import without
from .record import CONSTANT, OUTPUT, Rule
from .samples import positive, signed


def of_output(name, formula, f, slope, *, samples=signed, **more):
    """The rule of y = f(x), whose gradient slope(g, y) is best computed from y."""
    return Rule(name, formula, lambda x: (y := f(x), (y,)), lambda g, saved, needs: (slope(g, saved[0]),),
                samples=samples, saves=(OUTPUT,), fresh=True, symmetric=True, method=True, **more)


def of_input(name, formula, f, slope, *, samples=signed, saves=(0,), method=True, **more):
    """The rule of y = f(x) with the gradient slope(g, x)."""
    return Rule(name, formula, lambda x: (f(x), (x,)), lambda g, saved, needs: (slope(g, saved[0]),),
                samples=samples, saves=saves, fresh=True, symmetric=True, method=method, **more)


def logistic(x):
    """σ(x) = 1/(1 + e⁻ˣ), by the exponential of −|x| alone: no overflow, and no digits lost for x ≪ 0."""
    left = (x < 0).astype(x.dtype)
    e = np.exp(x * (2 * left - 1))
    return (1 - left + left * e) / (1 + e)


exp = of_output("exp", "y = eˣ;  dx = g·y", np.exp, lambda g, y: g * y, samples=positive)
log = of_input("log", "y = log x;  dx = g/x", np.log, lambda g, x: g / x, samples=positive)
sqrt = of_output("sqrt", "y = √x;  dx = g/2y", np.sqrt, lambda g, y: g / (2 * y), samples=positive)
sin = of_input("sin", "y = sin x;  dx = g·cos x", np.sin, lambda g, x: g * np.cos(x))
cos = of_input("cos", "y = cos x;  dx = −g·sin x", np.cos, lambda g, x: -g * np.sin(x))
tanh = of_output("tanh", "y = tanh x;  dx = g·(1 − y²)", np.tanh, lambda g, y: g * (1 - y * y))
sigmoid = of_output("sigmoid", "y = 1/(1 + e⁻ˣ);  dx = g·y·(1 − y)", lambda x: logistic(np.asarray(x)),
                    lambda g, y: g * y * (1 - y), twin=lambda x: 1 / (1 + (-x).exp()))
logsigmoid = of_input(
    "logsigmoid", "y = log 1/(1 + e⁻ˣ);  dx = g/(1 + eˣ)",
    lambda x: np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x))), lambda g, x: g * logistic(-x),
    twin=lambda x: x.sigmoid().log())


def floating(x):
    """x as floats, as NumPy's own functions do with integers."""
    x = np.asarray(x)
    return x if x.dtype.kind == "f" else x.astype(np.float64)


erf = of_input("erf", "y = 2/√π ∫₀ˣ e^(−t²) dt;  dx = g·2/√π·e^(−x²)", lambda x: kernels.erf(floating(x)),
               lambda g, x: g * np.exp(-x * x) * (2 / math.pi ** 0.5))

sign = Rule("sign", "y = −1, 0 or 1: no gradient", lambda x: (np.sign(x), None), exact=True, method=True)


def times_sign(g, x):
    """g·sign x, and 0 where x is 0 and g infinite."""
    y, zeros = g * np.sign(x), x == 0
    return without(y, zeros) if zeros.any() else y


# At 0, where the derivative does not exist, the subgradient 0.
abs = of_input("abs", "y = |x|;  dx = g·sign x", np.abs, times_sign, saves=CONSTANT, exact=True)
