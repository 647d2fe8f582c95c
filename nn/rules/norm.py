"""The p-norm of the numbers along some axes."""

import numpy as np

from .checks import floats
from .record import CONSTANT, OUTPUT, Rule
from .reductions import along, kept_shape


def _norm(x, *, p=2.0, dim=None, keepdim=False):
    """Scaled by m, an extreme of |x|: m·(Σ(|xᵢ|/m)ᵖ)¹ᐟᵖ does not overflow. float16 is computed in float32."""
    floats("norm", x)
    dim = None if dim == () else dim  # as in PyTorch
    wide = np.abs(x, dtype=np.float32 if x.dtype == np.float16 else x.dtype)
    if p == 0:
        y = np.add.reduce(wide != 0, axis=dim, keepdims=keepdim)
    else:
        least = {"initial": 0} if 0 < p < np.inf else {}  # of no numbers, the sum is 0
        m = (np.maximum if p > 0 else np.minimum).reduce(wide, axis=dim, keepdims=True, **least)
        scale = np.where(np.isfinite(m) & (m != 0), m, 1).astype(wide.dtype, copy=False)
        if np.isinf(p):
            y = m
        else:
            with np.errstate(divide="ignore", over="ignore"):  # 0ᵖ = ∞ for a negative p, and the norm is 0
                y = np.add.reduce((wide / scale) ** p, axis=dim, keepdims=True) ** (1 / p) * scale
        y = y if keepdim else y.squeeze(dim)
    y = np.asarray(y).astype(x.dtype, copy=False)
    return y, (x, y, p, dim, kept_shape(x.shape, dim))


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


def _samples(rng):
    x = rng.uniform(0.5, 2, (2, 3, 4)) * rng.choice([-1.0, 1.0], (2, 3, 4))
    ways = ((2.0, None, False), (2.0, 1, True), (3.0, -1, False), (1.0, (0, 2), False), (1.5, (0, -1), True),
            (-2.0, 1, False), (np.inf, 1, False), (-np.inf, (0, 1), True))
    return [([x], {"p": p, "dim": dim, "keepdim": keepdim}) for p, dim, keepdim in ways]


# Where x is 0 the norm has no derivative; the subgradient 0, as in PyTorch.
norm = Rule("norm", "y = (Σ|xᵢ|ᵖ)¹ᐟᵖ;  dxᵢ = g·sign xᵢ·(|xᵢ|/y)ᵖ⁻¹, 0 where xᵢ = 0", _norm, _norm_vjp,
    samples=_samples, saves=(0, OUTPUT, CONSTANT, CONSTANT, CONSTANT), fresh=True)
