"""Mistakes that show in a wrong Jacobian beside the right one: a factor, an axis, a term, a mask.

`have` and `want` are ∂y/∂x with the axes of y and then those of x; `y` and `x` are their shapes. Each says
in words what is wrong, or None; nn/diagnose.py asks them in turn.
"""

from __future__ import annotations

import math

import numpy as np

EXACT = 1e-6  # how well an explanation has to fit
TERM = "a term is dropped, or one too many: the difference is"


def same(a, b, scale):
    """Whether a and b are equal, to within a millionth of the greatest entry of `scale`."""
    limit = EXACT * max(np.abs(scale).max(initial=0), 1e-9)
    return a.shape == b.shape and np.abs(a - b).max(initial=0) <= limit


def axes_named(axes):
    """Axes in words."""
    return ("axis " if len(axes) == 1 else "axes ") + ", ".join(map(str, axes))


def constant_factor(have, want, y, x):
    """A constant factor, and what it may be."""
    total = np.vdot(want, want)
    c = np.vdot(want, have) / total if total else 0
    if not c or not same(have, c * want, have):
        return None
    if abs(c + 1) < EXACT:
        return "its sign is flipped"
    known = {f"the length of axis {a} of {whose}" + ", the batch?" * (whose == "the output" and not a): n
             for whose, shape in (("the output", y), ("the argument", x)) for a, n in enumerate(shape)}
    known |= {"the number of entries of the argument": math.prod(x),
              "the number of entries of the output": math.prod(y), "the 2 of a square, or two uses?": 2}
    for what, n in known.items():
        for factor, shown, ratio in (n, f"{n}", "too many"), (1 / n, f"1/{n}", "missing"):
            if n > 1 and abs(abs(c) - factor) < EXACT * factor:
                sign = ", and its sign is flipped" if c < 0 else ""
                return f"it is {shown} times the right one: a factor {n} ({what}) is {ratio}{sign}"
    # Two numbers always have a ratio: for a constant factor it takes more of them.
    several = np.count_nonzero(np.abs(want) > EXACT * np.abs(want).max()) > 2
    return f"it is {c:.6g} times the right one" if several else None


def missing_mask(have, want):
    """Is it right wherever the right one is not zero?"""
    there = np.abs(want) > EXACT * np.abs(want).max(initial=0)
    if np.count_nonzero(there) > 2 and same(have * there, want * there, want):
        return ("it is right where the right one is not zero, but does not vanish elsewhere: a mask is "
                "missing, or a term too many")
    return None


def wrong_axis(have, want, y, x):
    """Where y and x have the same axes: do entries depend on each other along others than they should?"""
    if y != x or not x:
        return None
    mixing = []
    for jacobian in (have, want):
        scale = EXACT * np.abs(jacobian).max(initial=0)
        index = np.indices(jacobian.shape, sparse=True)
        mixing.append({a for a in range(len(x))
                       if np.abs(jacobian * (index[a] != index[len(x) + a])).max(initial=0) > scale})
    if mixing[0] == mixing[1] or len(mixing[0]) != len(mixing[1]):
        return None
    wrong, right = (axes_named(sorted(axes)) for axes in mixing)
    return f"the wrong axis: a sum in it runs over {wrong} where it should over {right}"


def level_difference(have, want, y, x):
    """Is what is missing the same all along an axis, as a sum or mean over it is?"""
    missing = want - have
    for a, n in enumerate(x):
        level = np.broadcast_to(missing.mean(len(y) + a, keepdims=True), missing.shape)
        if n > 1 and same(missing, level, want):
            return f"{TERM} the same all along axis {a}, as a sum or mean over it is"
    return None


def outer_product(have, want, y, x):
    """Is what is missing an outer product along an axis, as a term is that has a sum along it?"""
    missing = want - have
    scale = EXACT * max(np.abs(want).max(initial=0), 1e-9)
    for a in range(len(x)) if y == x else ():
        others, n = math.prod(x) // x[a], x[a]
        blocks = np.moveaxis(missing, (a, len(y) + a), (len(y) - 1, -1)).reshape(others, n, others, n)
        own = np.arange(others)
        within = blocks[own, :, own]
        if n < 3 or np.abs(blocks).max() <= scale or np.abs(blocks).sum() - np.abs(within).sum() > scale:
            continue
        if (np.linalg.svd(within, compute_uv=False)[:, 1:] <= scale).all():
            return f"{TERM} an outer product along axis {a}, as that of a term with a sum over it is"
    return None
