"""What a Program makes of NaN and infinity: what the network makes of them.

0·∞ is NaN, so a kernel that leaves out the zeros of a weight, or that adds and subtracts inputs before it
multiplies, gives something else. Rows of such inputs are multiplied once more, densely. No integer stands
for them: `quantize` refuses them."""

from math import isfinite

import numpy as np


@np.errstate(over="ignore", invalid="ignore")
def not_finite(x: np.ndarray) -> np.ndarray | None:
    """Which of the first axis of x hold NaN or infinity, as booleans (len(x),); None if none does.

    One sum of squares, which is fast, answers for nearly all inputs: it is finite. (It may overflow where all
    are finite; then a closer look says so.)"""
    flat = x.reshape(-1)
    if isfinite(flat.dot(flat)):
        return None
    bad = ~np.isfinite(x).all(axis=tuple(range(1, x.ndim)))
    return bad if bad.any() else None
