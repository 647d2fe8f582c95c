"""The arithmetic of an integer Program's calls that are no matrix products, and of windows, in NumPy.

q stands for scale · (q − zero). Rounding is half to even, once, in float32; what leaves the codes of the
format is clamped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nn.kernels import conv2d

__all__ = ["avg_pool2d", "dequantize", "im2col", "max_pool2d", "out_size", "qadd", "qavg_pool2d", "qconv2d",
           "quantize", "requantize"]

Pair = tuple[int, int]


def out_size(size: int, kernel: int, stride: int, padding: int = 0, dilation: int = 1) -> int:
    """Positions of a window along one axis: ⌊(size + 2·padding − dilation·(kernel − 1) − 1)/stride⌋ + 1."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def quantize(x: np.ndarray, grid: Any, *, out: np.ndarray) -> None:
    """clamp(round(x / scale) + zero). Raises ValueError for NaN and infinity, which no integer stands for."""
    if not np.isfinite(x).all():
        raise ValueError("holds NaN or infinity; no integer stands for it")
    np.copyto(out, grid.quantize(x))


def dequantize(q: np.ndarray, grid: Any, *, out: np.ndarray) -> None:
    """scale · (q − zero)."""
    np.copyto(out, grid.dequantize(q))


def requantize(acc: np.ndarray, scale: np.ndarray, zero: int, format: Any, *, out: np.ndarray) -> None:
    """clamp(round(acc · scale) + zero) for sums (…, C), int32, and a scale for each of their C columns."""
    with np.errstate(over="ignore"):  # infinity is clamped like any other large number
        scaled = np.clip(acc.astype(np.float32) * scale, format.lowest - zero, format.highest - zero)
    np.copyto(out, np.rint(scaled) + np.float32(zero), casting="unsafe")


def qadd(a: np.ndarray, b: np.ndarray, a_grid: Any, b_grid: Any, grid: Any, *, out: np.ndarray) -> None:
    """The sum of two values on two grids, on a third: each is taken to its scale, then they are added and
    rounded."""
    of_a, of_b = (np.float32(one.scale / grid.scale) for one in (a_grid, b_grid))
    total = (a.astype(np.float32) - np.float32(a_grid.zero)) * of_a
    total += (b.astype(np.float32) - np.float32(b_grid.zero)) * of_b
    low, high = grid.format.lowest - grid.zero, grid.format.highest - grid.zero
    np.copyto(out, np.rint(np.clip(total, low, high)) + np.float32(grid.zero), casting="unsafe")


def qconv2d(x: np.ndarray, w: np.ndarray, bias: np.ndarray, zero: int, **how: Any) -> np.ndarray:
    """Σ (x − zero) · w + bias, int32, for images (N, H, W, C) and filters (O, C/groups, kH, kW): exact, for
    float64 holds every such integer."""
    x, w, bias = x.astype(np.float64) - zero, w.astype(np.float64), bias.astype(np.float64)
    return conv2d.reference(x, w, bias, **how).astype(np.int32)


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
    rows, columns = out_size(height, kh, sh, 0, dh), out_size(width, kw, sw, 0, dw)
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


def avg_pool2d(x: np.ndarray, kernel: Pair, stride: Pair, padding: Pair, *, out: np.ndarray) -> None:
    """The mean of each window, padding counted in with 0."""
    total = sum(_windows(x, kernel, stride, padding, 0))
    np.divide(total, np.float32(kernel[0] * kernel[1]), out=out)


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
    rows, columns = out_size(x.shape[1], kh, sh), out_size(x.shape[2], kw, sw)
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
