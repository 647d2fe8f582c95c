"""relu and relu_grad: max(x, 0), and what of a gradient comes through it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import empty

from .arguments import F32, READABLE, array
from .kernel import kernel
from .native import NUMPY, from_buffer, lib, pointer


@kernel
def relu(x: np.ndarray) -> np.ndarray:
    """y = x where x > 0, else 0; NaN stays NaN, −0 becomes 0. float32 of any shape.

    The result lies in memory as x does. Raises TypeError for a wrong type or dtype.
    """
    return np.where(x <= 0, np.float32(0), x)


@kernel
def relu_grad(g: np.ndarray, y: np.ndarray, *, overwrite_g: bool = False) -> np.ndarray:
    """dx = g where y = relu(x) > 0 or NaN, else 0 (at 0 the subgradient 0). float32, equal shapes.

    The result lies in memory as y does. With overwrite_g it is written into g, if that lies so and can be
    written to: two arrays pass through the caches then, not three. It must share no memory with y.
    Raises TypeError for a wrong type or dtype, ValueError for two shapes.
    """
    return np.where(y <= 0, np.float32(0), g)


def dense(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x as an array without gaps whose axes lie in any order, and an empty array that lies like it."""
    out = np.empty_like(x, subok=False)
    if x.strides != out.strides or not x.flags.aligned:
        x = x.copy(order="K")
        out = np.empty_like(x)
    return x, out


def like(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """g, lying in memory as x does."""
    if g.strides == x.strides and g.flags.aligned:
        return g
    same = np.empty_like(x)
    same[...] = g
    return same


def _relu(x: np.ndarray) -> np.ndarray:
    if type(x) is not np.ndarray or x.dtype is not F32:
        x = array("relu", "x", x, None, F32)
    if relu.choice == NUMPY:
        return np.asarray(relu.reference(x))
    if x.flags.num & READABLE == READABLE:    # the usual one, 0.5 µs sooner
        y = empty(x.shape, F32)
        lib.nn_relu(relu.choice, x.size, from_buffer(x), from_buffer(y))
        return y
    x, y = dense(x)
    lib.nn_relu(relu.choice, x.size, pointer(x), pointer(y))
    return y


def _relu_grad(g: Any, y: Any, *, overwrite_g: bool = False) -> np.ndarray:
    if not (type(g) is type(y) is np.ndarray and g.dtype is y.dtype is F32):
        g, y = array("relu_grad", "g", g, None, F32), array("relu_grad", "y", y, None, F32)
    if g.shape != y.shape:
        raise ValueError(f"relu_grad: g and y must have one shape, got {g.shape} and {y.shape}")
    if relu_grad.choice == NUMPY:
        return np.asarray(relu_grad.reference(g, y))
    overwrite_g = overwrite_g and g.flags.writeable
    if g.flags.num & y.flags.num & READABLE == READABLE:
        dx = g if overwrite_g else empty(y.shape, F32)
        lib.nn_relu_grad(relu_grad.choice, y.size, from_buffer(g), from_buffer(y), from_buffer(dx))
        return dx
    y, dx = dense(y)
    g = like(g, y)
    if overwrite_g:
        dx = g
    lib.nn_relu_grad(relu_grad.choice, y.size, pointer(g), pointer(y), pointer(dx))
    return dx


relu.bind(_relu)
relu_grad.bind(_relu_grad)
