"""The arithmetic of an integer Program's steps that are no products, and of windows, in NumPy: what the
kernels of these names in nn define, into an array that is there, and as fast as NumPy is. Once they have C
these functions go.

q stands for scale · (q − zero). Rounding is half to even, once, in float32; what leaves the codes of the
format is clamped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nn.geometry import positions

__all__ = ["dequantize", "im2col", "max_pool2d", "qadd", "qavg_pool2d", "quantize"]

Pair = tuple[int, int]


def quantize(x: np.ndarray, grid: Any, *, out: np.ndarray) -> None:
    """clamp(round(x / scale) + zero). Raises ValueError for NaN and infinity, which no integer stands for."""
    if not np.isfinite(x).all():
        raise ValueError("holds NaN or infinity; no integer stands for it")
    np.copyto(out, grid.quantize(x))


def dequantize(q: np.ndarray, grid: Any, *, out: np.ndarray) -> None:
    """scale · (q − zero)."""
    np.copyto(out, grid.dequantize(q))


def qadd(a: np.ndarray, b: np.ndarray, a_grid: Any, b_grid: Any, grid: Any, *, out: np.ndarray) -> None:
    """The sum of two values on two grids, on a third: each is taken to its scale, then they are added and
    rounded."""
    of_a, of_b = (np.float32(one.scale / grid.scale) for one in (a_grid, b_grid))
    total = (a.astype(np.float32) - np.float32(a_grid.zero)) * of_a
    total += (b.astype(np.float32) - np.float32(b_grid.zero)) * of_b
    low, high = grid.format.lowest - grid.zero, grid.format.highest - grid.zero
    np.copyto(out, np.rint(np.clip(total, low, high)) + np.float32(grid.zero), casting="unsafe")


def im2col(x: np.ndarray, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, fill: int, *,
           out: np.ndarray) -> None:
    """(N, H, W, C) → (N, H', W', kH·kW·C): under every output position the patch that its filter sees, as one
    row.

    A convolution is then one matrix product (Chellapilla, Puri & Simard 2006). The padding is `fill`: 0, or
    the integer that stands for it.
    """
    (kh, kw), (sh, sw), (dh, dw) = kernel, stride, dilation
    x = _padded(x, padding, fill)
    n, height, width, channels = x.shape
    rows, columns = positions(height, kh, sh, 0, dh), positions(width, kw, sw, 0, dw)
    x = np.ascontiguousarray(x)
    bn, bh, bw, bc = x.strides
    steps = bn, bh * sh, bw * sw, bh * dh, bw * dw, bc
    patches = np.ndarray((n, rows, columns, kh, kw, channels), x.dtype, x, 0, steps)  # they overlap: a view
    np.copyto(out.reshape(patches.shape), patches)


def max_pool2d(x: np.ndarray, kernel: Pair, stride: Pair, padding: Pair, *, out: np.ndarray) -> None:
    """The largest value under each window; padding never wins."""
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    first, *rest = _windows(x, kernel, stride, padding, lowest)
    np.copyto(out, first)
    for window in rest:
        np.maximum(out, window, out=out)


def qavg_pool2d(x: np.ndarray, kernel: Pair, stride: Pair, padding: Pair, zero: int, *,
                out: np.ndarray) -> None:
    """The mean of each window on the grid of its input, rounded half to even; padding counts as real 0."""
    total = sum(window.astype(np.float32) for window in _windows(x, kernel, stride, padding, zero))
    mean = total / np.float32(kernel[0] * kernel[1])
    np.copyto(out, np.rint(mean - np.float32(zero)) + np.float32(zero), casting="unsafe")


def _windows(x: np.ndarray, kernel: Pair, stride: Pair, padding: Pair, fill: float) -> Iterator[np.ndarray]:
    """For every place in the window, the (N, H', W', C) view of what lies there."""
    (kh, kw), (sh, sw) = kernel, stride
    x = _padded(x, padding, fill)
    rows, columns = positions(x.shape[1], kh, sh), positions(x.shape[2], kw, sw)
    for i in range(kh):
        for j in range(kw):
            yield x[:, i : i + sh * (rows - 1) + 1 : sh, j : j + sw * (columns - 1) + 1 : sw]


def _padded(x: np.ndarray, padding: Pair, fill: float) -> np.ndarray:
    (top, left), (n, height, width, channels) = padding, x.shape
    if not (top or left):
        return x
    padded = np.empty((n, height + 2 * top, width + 2 * left, channels), x.dtype)
    padded[...] = fill
    padded[:, top : top + height, left : left + width] = x
    return padded
