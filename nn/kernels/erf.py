"""erf, gelu and gelu_grad: the error function, and the unit that is made of it.

The specification of erf is that of W. J. Cody, "Rational Chebyshev approximations for the error function",
Mathematics of Computation 23 (1969): near 0 it is x·A(x²)/B(x²), elsewhere 1 − e^(−x²)·C(x)/D(x), each
quotient within 1e-16 of the truth, relatively. Cody has a third interval, from 4 on, for the sake of 1 − erf;
what erf keeps of it there is 1.5e-8. (NumPy has no erf.)
"""

from math import pi

import numpy as np

from .kernel import kernel

_NEAR = 0.46875
# Coefficients of the highest power first.
_A = (1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2,
      3.20937758913846947e3)
_B = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)
_C = (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1,
      2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
      1.23033935479799725e3)
_D = (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
      3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3)


def _polynomial(coefficients, x):
    """By Horner's rule."""
    value = coefficients[0] * x
    for c in coefficients[1:-1]:
        value += c
        value *= x
    value += coefficients[-1]
    return value


@kernel(x="f32[...]", out="f32[...]")
def erf(x: np.ndarray) -> np.ndarray:
    """The error function 2/√π ∫₀ˣ e^(−t²) dt of each entry, float32 of any shape.

    Within 3 units in the last place, in NumPy within 6. The result lies in memory as x does. The
    specification takes every floating dtype, and is as good in each.
    """
    if x.dtype == np.float16:  # whose largest number D(x) exceeds
        return erf.reference(x.astype(np.float32)).astype(np.float16)
    far = np.minimum(np.abs(x), 6)  # from 5.93 on, erf is 1 in float64; NaN stays NaN
    square = far * far
    y = np.empty_like(x)
    np.copysign(1 - np.exp(-square) * (_polynomial(_C, far) / _polynomial(_D, far)), x, out=y)
    near = far <= _NEAR
    if near.any():
        square = square[near]
        y[near] = x[near] * (_polynomial(_A, square) / _polynomial(_B, square))
    return y


@kernel(x="f32[...]", out="f32[...]")
def gelu(x: np.ndarray) -> np.ndarray:
    """x·Φ(x), where Φ(x) = (1 + erf(x/√2))/2 is the part of a normal distribution that lies below x.

    Hendrycks & Gimpel, "Gaussian error linear units" (2016). float32 of any shape; the result lies in memory
    as x does, and is within 6u·|x|, u = 2⁻²⁴. −∞ gives NaN, as in PyTorch.
    """
    return x * _below(x)


@kernel(g="f32[...]", x="f32[...]", out="f32[...]")
def gelu_grad(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """g·(Φ(x) + x·φ(x)), φ(x) = e^(−x²/2)/√2π: the gradient of gelu(x). float32, equal shapes.

    Within 6u·|g|; ±∞ give the limits. The result lies in memory as x does.
    """
    x = np.clip(x, -50, 50)  # φ(50) is 0
    return g * (_below(x) + x * np.exp(x * x * -0.5) * (1 / (2 * pi) ** 0.5))


def _below(x):
    """Φ(x)"""
    return (1 + erf.reference(x * 0.5 ** 0.5)) * 0.5


erf.runs("nn_erf(x.size, x, out)")
gelu.runs("nn_gelu(x.size, x, out)")
gelu_grad.runs("nn_gelu_grad(x.size, g, x, out)")
