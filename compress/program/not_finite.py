"""Inputs with NaN or infinity, of which some kernels make something else than the network does.

0·∞ is NaN, but a kernel that leaves out the zeros of a weight does not multiply there, and Winograd's adds
and subtracts inputs before it multiplies: what is not finite is multiplied once more, densely."""

from math import isfinite, prod

import numpy as np

from nn.kernels import gemm

from ..stored import Stored, as_matrix


def densely(out: np.ndarray, x: np.ndarray, weight: Stored) -> None:
    """Of rows of x with NaN or infinity the dense product, in the place of what a kernel made of them."""
    rows = as_rows(x)
    bad = not_finite(rows)
    if bad is not None:
        with np.errstate(invalid="ignore", over="ignore"):
            dense = gemm(rows[bad], np.ascontiguousarray(as_matrix(weight.decode()).T))
        as_rows(out)[bad] = dense


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


def as_rows(x: np.ndarray) -> np.ndarray:
    """(…, K) as the matrix of its rows."""
    return x.reshape(prod(x.shape[:-1]), x.shape[-1])
