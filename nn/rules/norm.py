"""The p-norm of the numbers along some axes."""

import numpy as np

from nn.rules.record import Rule
from nn.rules.reductions import along, kept_shape


def _norm(x, *, p=2.0, dim=None, keepdim=False):
    """By the extreme m of |x|: m·(Σ(|xᵢ|/m)ᵖ)¹ᐟᵖ, in which nothing overflows; float16 goes through
    float32."""
    if x.dtype.kind != "f":
        raise TypeError(f"norm: the input is {x.dtype}; convert it to a floating-point dtype first")
    if dim == ():
        dim = None    # as in PyTorch
    wide = np.abs(x, dtype=np.float32 if x.dtype == np.float16 else x.dtype)
    if p == 0:
        y = np.add.reduce(wide != 0, axis=dim, keepdims=keepdim)
    else:
        m = (np.maximum.reduce(wide, axis=dim, keepdims=True, initial=0) if p > 0 else
             np.minimum.reduce(wide, axis=dim, keepdims=True))
        m = np.where(np.isfinite(m) & (m != 0), m, 1).astype(wide.dtype, copy=False)
        with np.errstate(divide="ignore", over="ignore"):    # 0ᵖ of a negative p, and 0 as the norm then
            total = np.add.reduce((wide / m) ** p, axis=dim, keepdims=keepdim) ** (1 / p)
        y = total * m.reshape(total.shape)
    y = np.asarray(y).astype(x.dtype, copy=False)
    return y, (x, y, p, *kept_shape(x.shape, dim))


def _norm_vjp(g, saved, needs):
    x, y, p, *kept = saved
    slope = np.sign(x)
    if p == 0:    # a count changes nowhere
        return (along(g, kept) * slope * 0,)
    if p != 1:    # 1 in the place of a 0, in |x| as in y: sign x is 0 there, and so is the gradient
        y = along(y, kept)
        slope = slope * ((np.abs(x) + (x == 0)) / (y + (y == 0))) ** (p - 1)
    if p < 0:    # then one 0 alone makes y = 0, where PyTorch's gradient is 0
        slope = slope * (y != 0)
    return (along(g, kept) * slope,)


def _samples(rng):
    """Norms of several orders over several axes; one row, of nothing but zeros, is away from none of them."""
    x = rng.uniform(0.5, 2, (2, 3, 4)) * rng.choice([-1.0, 1.0], (2, 3, 4))
    ways = (2.0, None, False), (2.0, 1, True), (3.0, -1, False), (1.0, (0, 2), False), (1.5, (0, -1), True)
    return [([x], {"p": p, "dim": dim, "keepdim": keepdim}) for p, dim, keepdim in (*ways, (-2.0, 1, False))]


# Where x is 0 the norm has no derivative; the subgradient 0, as in PyTorch.
norm = Rule(
    "norm", "y = (Σ|xᵢ|ᵖ)¹ᐟᵖ;  dxᵢ = g·sign xᵢ·(|xᵢ|/y)ᵖ⁻¹, 0 where xᵢ = 0", _norm, _norm_vjp,
    samples=_samples, fresh=True)
