"""What a choice leaves out is 0, whatever it was.

A choice has the derivative 0 where it did not choose, and 0 it stays, however great the gradient from above:
of √max(x, 0) the one that comes to a negative x is ∞. A product with the mask would make 0·∞ = NaN of it.
"""

import numpy as np

_ZERO = {code: np.zeros((), code) for code in np.typecodes["Float"]}    # arrays, which np.where takes sooner
_BITS = {2: np.int16, 4: np.int32, 8: np.int64}
SMALL = 1 << 10    # numbers, up to which np.where is quicker


def only(g, mask):
    """g where the mask (booleans) holds, else 0. They broadcast; the result is a new array, or a Tensor."""
    if type(g) is not np.ndarray and hasattr(g, "_node"):    # a vjp on Tensors (nn/double_backward.py)
        return g.where(mask, 0)
    if g.size > SMALL and type(mask) is np.ndarray and g.itemsize in _BITS:
        return _and(g, np.negative(mask.view(np.int8)))
    return np.where(mask, g, _ZERO[g.dtype.char])


def without(g, mask):
    """0 where the mask holds, else g: as `only`."""
    if type(g) is not np.ndarray and hasattr(g, "_node"):
        return g.masked_fill(mask, 0)
    if g.size > SMALL and type(mask) is np.ndarray and g.itemsize in _BITS:
        return _and(g, np.subtract(mask.view(np.int8), np.int8(1)))
    return np.where(mask, _ZERO[g.dtype.char], g)


def _and(g, ones):
    """g AND, bit by bit, −1, which is all ones, or 0: in the time of a product with the mask. np.where
    branches at each number, which takes 17 times as long where the mask is irregular."""
    return np.bitwise_and(g.view(_BITS[g.itemsize]), ones).view(g.dtype)
