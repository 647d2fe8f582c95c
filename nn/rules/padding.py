"""Padding with a constant."""

import numpy as np

from .record import CONSTANT, Rule
from .samples import normal


def _pad(x, *, widths, value=0):
    if len(widths) != x.ndim:
        raise ValueError(f"pad: {len(widths)} pairs of widths came for an input of shape {x.shape}")
    y = np.full([left + n + right for n, (left, right) in zip(x.shape, widths, strict=True)], value, x.dtype)
    inside = tuple(slice(left, left + n) for n, (left, _) in zip(x.shape, widths, strict=True))
    y[inside] = x
    return y, inside


pad = Rule(
    "pad", "y = x with `widths` entries of `value` before and behind, along each axis;  dx = g inside", _pad,
    lambda g, inside, needs: (g[inside],), saves=CONSTANT, exact=True, samples=normal(
        ((2, 3), {"widths": ((0, 0), (2, 1))}), ((2, 3), {"widths": ((1, 0), (0, 3)), "value": 0.5})))
