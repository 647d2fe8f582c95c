"""Images and signals of another size: each pixel's nearest neighbour, or a mixture of the two beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..arguments import flag
from ..rules.checks import floats, one_of
from ..tensor import Operand, Tensor
from .half import rounded_once
from .shapes import as_tensor

_AXES = {"nearest": None, "linear": 1, "bilinear": 2}  # mode: how many axes of pixels it takes


@rounded_once
def interpolate(input: Operand, size: int | Sequence[int] | None = None,
                scale_factor: float | Sequence[float] | None = None, mode: str = "nearest",
                align_corners: bool | None = None) -> Tensor:
    """(N, C, H, W) → (N, C, H', W'), or (N, C, L) → (N, C, L'), by looking between the pixels of `input`.

    size: H' and W', or one number for both. scale_factor: instead, what H and W are multiplied by (rounded
        down), a number or one for each.
    mode: "nearest": pixel ⌊i·s⌋ for pixel i, s = H/H' (or 1/scale_factor); "linear" (of a signal) and
        "bilinear" (of an image): the pixels on both sides of the place, by how near they are. Floats only.
    align_corners: for the last two, where the places are. False or None: (i + ½)·s − ½, the middles of pixels
        that are s wide; True: i·(H − 1)/(H' − 1), so that the corner pixels stay where they are.
    Raises ValueError or TypeError, naming what came, for sizes, modes and shapes that do not fit.
    """
    x = as_tensor(input)
    one_of("interpolate", "mode", mode, _AXES)
    axes = x.ndim - 2
    if axes not in (1, 2) or _AXES[mode] not in (None, axes):
        wanted = {None: "(N, C, L) or (N, C, H, W)", 1: "(N, C, L)", 2: "(N, C, H, W)"}[_AXES[mode]]
        raise ValueError(f"interpolate: the input has shape {x.shape}, wanted {wanted} for mode {mode!r}")
    if mode == "nearest" and align_corners is not None:
        raise ValueError("interpolate: align_corners is for mode 'linear' or 'bilinear', got mode 'nearest'")
    if mode != "nearest":
        floats("interpolate", x)
    if align_corners is not None:
        flag("interpolate", "align_corners", align_corners)
    for axis, (length, step) in enumerate(_lengths(x.shape[2:], size, scale_factor), start=2):
        n = x.shape[axis]
        if not n:
            raise ValueError(f"interpolate: the input of shape {x.shape} has no pixels")
        wide = np.float64 if x.dtype == np.float64 else np.float32
        i, step = np.arange(length, dtype=wide), wide(step)
        if mode == "nearest":
            if axes == 2 and length in (n, 2 * n):  # PyTorch's short cut for images
                step = wide(n / length)
            x = x.index_select(axis, np.minimum((i * step).astype(np.int64), n - 1))
        elif length != n:  # else each pixel stays in its place, even if a factor was rounded down
            if align_corners:
                step = wide((n - 1) / (length - 1) if length > 1 else 0)
            x = _between(x, axis, i * step if align_corners else np.maximum((i + 0.5) * step - wide(0.5), 0))
    return x


def _lengths(have, size, scale_factor):
    """For each axis: how many pixels are wanted, and how wide each is in pixels of the input."""
    if (size is None) == (scale_factor is None):
        raise ValueError(f"interpolate: size is {size!r} and scale_factor is {scale_factor!r}, wanted one of "
                         "the two")
    name, given = ("size", size) if scale_factor is None else ("scale_factor", scale_factor)
    each = list(given) if isinstance(given, (tuple, list)) else [given] * len(have)
    kinds = (int, np.integer) if scale_factor is None else (int, float, np.number)
    if len(each) != len(have) or any(isinstance(n, bool) or not isinstance(n, kinds) for n in each):
        raise TypeError(f"interpolate: {name} is {given!r}, wanted a number or {len(have)} of them")
    if scale_factor is None:
        lengths = [(length, n / max(length, 1)) for length, n in zip(each, have, strict=True)]
    else:
        if not all(0 < n < math.inf for n in each):
            raise ValueError(f"interpolate: scale_factor is {scale_factor!r}, wanted numbers > 0")
        lengths = [(int(n * factor), 1 / factor) for factor, n in zip(each, have, strict=True)]
    if any(length < 1 for length, _ in lengths):
        raise ValueError(f"interpolate: {name} {given!r} leaves no pixels of {tuple(have)}")
    return lengths


def _between(x, axis, places):
    """At `places` (in pixels, from 0) along `axis`: a mixture of the pixel before and the one behind."""
    n = x.shape[axis]
    before = np.minimum(places.astype(np.int64), n - 1)
    behind = np.minimum(before + 1, n - 1)
    way = np.clip(places - before, 0, 1).reshape(-1, *(1,) * (x.ndim - axis - 1)).astype(x.dtype)
    return x.index_select(axis, before) * (1 - way) + x.index_select(axis, behind) * way
