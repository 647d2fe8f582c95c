"""Padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import rules
from ..arguments import is_int
from ..tensor import Operand, Tensor, apply
from .shapes import as_tensor

_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}  # PyTorch's name: NumPy's


def pad(input: Operand, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """`input` with entries added along its last axes, pad = (left, right, top, bottom, …) from the last on. A
    negative number cuts entries off. mode: "constant" (with `value`, 0 if left out), or what lies inside once
    more: "reflect" (mirrored, the edge not repeated), "replicate" (the edge), "circular" (from the other
    side). Raises TypeError for widths that are no ints, ValueError for another mode and what does not fit."""
    x = as_tensor(input)
    if not isinstance(pad, (tuple, list)) or not all(map(is_int, pad)):
        raise TypeError(f"pad: the widths are {pad!r}, wanted a list of ints")
    if len(pad) % 2 or len(pad) > 2 * x.ndim:
        raise ValueError(f"pad: {len(pad)} widths came for an input of shape {x.shape}, wanted two for each "
                         "of the last axes")
    widths = [(0, 0)] * (x.ndim - len(pad) // 2) + list(zip(pad[-2::-2], pad[::-2], strict=True))
    if any(min(left, 0) + min(right, 0) + n < 0 or left + right + n < 0
           for n, (left, right) in zip(x.shape, widths, strict=True)):
        raise ValueError(f"pad: the widths {tuple(pad)} leave nothing of an input of shape {x.shape}")
    if rules.checks.one_of("pad", "mode", mode, ("constant", *_MODES)) != "constant":
        return _mirrored(x, widths, mode)
    if min(pad, default=0) < 0:
        x = x[tuple(slice(max(-left, 0), n - max(-right, 0))
                    for n, (left, right) in zip(x.shape, widths, strict=True))]
        widths = [(max(left, 0), max(right, 0)) for left, right in widths]
    return apply(rules.shapes.pad, x, widths=tuple(widths), value=0 if value is None else value)


def _mirrored(x, widths, mode):
    """Padded with what lies inside: a selection of the axis's own entries. Entries that are cut off on one
    side still count on the other, except for "circular", as in PyTorch."""
    for axis, (left, right) in enumerate(widths):
        if mode == "circular" and min(left, right) < 0:
            cut = slice(max(-left, 0), x.shape[axis] - max(-right, 0))
            x, left, right = x[(slice(None),) * axis + (cut,)], max(left, 0), max(right, 0)
        if left or right:
            n = x.shape[axis]
            most = n - 1 if mode == "reflect" else n
            if not n or (mode != "replicate" and max(left, right) > most):
                raise ValueError(f"pad: {mode} padding of {max(left, right)} is too wide for axis {axis} of "
                                 f"the shape {x.shape}, wanted at most {most}")
            entries = np.pad(np.arange(n), (max(left, 0), max(right, 0)), _MODES[mode])
            x = x.index_select(axis, entries[max(-left, 0):len(entries) - max(-right, 0)])
    return x
