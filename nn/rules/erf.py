"""The error function erf x = 2/√π ∫₀ˣ e^(−t²) dt, and the unit that is made of it."""

import math

import numpy as np

from .. import kernels
from .functions import signed
from .record import Rule


def _of_each(kernel, x):
    x = np.asarray(x)
    x = x if x.dtype.kind == "f" else x.astype(np.float64)    # as NumPy's own functions do with integers
    return kernel.of(x)(x), (x,)


erf = Rule(
    "erf", "y = 2/√π ∫₀ˣ e^(−t²) dt;  dx = g·2/√π·e^(−x²)",
    lambda x: _of_each(kernels.erf, x),
    lambda g, saved, needs: (g * np.exp(-saved[0] * saved[0]) * (2 / math.pi ** 0.5),),
    samples=signed, saves=(0,), fresh=True, symmetric=True, method=True)


def _gelu_grad_vjp(v, saved, needs):
    g, x = saved
    density = np.exp(x * x * -0.5) * (2 * math.pi) ** -0.5
    return gelu_grad(v, x), needs[1] and v * g * density * (2 - x * x)


gelu_grad = Rule(
    "gelu_grad", "y = g·(Φ(x) + x·φ(x)), φ(x) = e^(−x²/2)/√2π;  dg = v·(Φ(x) + x·φ(x)), "
    "dx = v·g·φ(x)·(2 − x²), v the gradient in y",
    lambda g, x: (kernels.gelu_grad.of(g, x)(*np.broadcast_arrays(g, x)), (g, x)), _gelu_grad_vjp,
    samples=lambda rng: [([rng.normal(size=x.shape), x], {}) for (x,), _ in signed(rng)],
    saves=(0, 1), fresh=True, symmetric=True)


# Hendrycks & Gimpel, "Gaussian error linear units" (2016).
gelu = Rule(
    "gelu", "y = x·Φ(x), Φ(x) = (1 + erf x/√2)/2;  dx = g·(Φ(x) + x·e^(−x²/2)/√2π)",
    lambda x: _of_each(kernels.gelu, x), lambda g, saved, needs: (gelu_grad(g, saved[0]),),
    twin=lambda x: x * 0.5 * (1 + (x * 0.5 ** 0.5).erf()),
    samples=signed, saves=(0,), fresh=True, symmetric=True)
