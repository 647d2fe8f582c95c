"""Kernels that treat every number by itself: arrays of any shape, whose result lies in memory as they do."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import empty, ndarray

from .arguments import F32, READABLE, array
from .native import NUMPY, from_buffer, lib, pointer


def of_one(kernel: Any, function: str, x: Any) -> ndarray:
    """y = f(x), by the C function of that name."""
    if type(x) is not ndarray or x.dtype is not F32:
        x = array(kernel.name, "x", x, None, F32)
    if kernel.choice == NUMPY:
        return np.asarray(kernel.reference(x))
    if x.flags.num & READABLE == READABLE:    # the usual one, 0.5 µs sooner
        y = empty(x.shape, F32)
        getattr(lib, function)(kernel.choice, x.size, from_buffer(x), from_buffer(y))
        return y
    x, y = _dense(x)
    getattr(lib, function)(kernel.choice, x.size, pointer(x), pointer(y))
    return y


def of_two(kernel: Any, function: str, name: str, g: Any, x: Any, overwrite_g: bool = False) -> ndarray:
    """dx = g·f'(x), in the memory of g if it may be overwritten; name: what the kernel calls x."""
    if not (type(g) is type(x) is ndarray and g.dtype is x.dtype is F32):
        g, x = array(kernel.name, "g", g, None, F32), array(kernel.name, name, x, None, F32)
    if g.shape != x.shape:
        raise ValueError(f"{kernel.name}: g and {name} must have one shape, got {g.shape} and {x.shape}")
    if kernel.choice == NUMPY:
        return np.asarray(kernel.reference(g, x))
    overwrite_g = overwrite_g and g.flags.writeable
    if g.flags.num & x.flags.num & READABLE == READABLE:
        dx = g if overwrite_g else empty(x.shape, F32)
        getattr(lib, function)(kernel.choice, x.size, from_buffer(g), from_buffer(x), from_buffer(dx))
        return dx
    x, dx = _dense(x)
    g = _like(g, x)
    if overwrite_g:
        dx = g
    getattr(lib, function)(kernel.choice, x.size, pointer(g), pointer(x), pointer(dx))
    return dx


def _dense(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x as an array without gaps whose axes lie in any order, and an empty array that lies like it."""
    out = np.empty_like(x, subok=False)
    if x.strides != out.strides or not x.flags.aligned:
        x = x.copy(order="K")
        out = np.empty_like(x)
    return x, out


def _like(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """g, lying in memory as x does."""
    if g.strides == x.strides and g.flags.aligned:
        return g
    same = np.empty_like(x)
    same[...] = g
    return same
