"""The error function erf x = 2/√π ∫₀ˣ e^(−t²) dt, and the unit that is made of it."""

import math

import numpy as np

from .. import kernels
from .functions import signed
from .record import Rule


def _of_each(kernel, x):
    x = np.asarray(x)
    x = x if x.dtype.kind == "f" else x.astype(np.float64)    # as NumPy's own functions do with integers
    return kernel(x), (x,)


erf = Rule(
    "erf", "y = 2/√π ∫₀ˣ e^(−t²) dt;  dx = g·2/√π·e^(−x²)",
    lambda x: _of_each(kernels.erf, x),
    lambda g, saved, needs: (g * np.exp(-saved[0] * saved[0]) * (2 / math.pi ** 0.5),),
    samples=signed, fresh=True, symmetric=True)


def _gelu_vjp(g, saved, needs):
    (x,) = saved
    return (kernels.gelu_grad(*np.broadcast_arrays(g, x)),)


# Hendrycks & Gimpel, "Gaussian error linear units" (2016).
gelu = Rule(
    "gelu", "y = x·Φ(x), Φ(x) = (1 + erf x/√2)/2;  dx = g·(Φ(x) + x·e^(−x²/2)/√2π)",
    lambda x: _of_each(kernels.gelu, x), _gelu_vjp,
    twin=lambda x: x * 0.5 * (1 + (x * 0.5 ** 0.5).erf()),
    samples=signed, fresh=True, symmetric=True)
