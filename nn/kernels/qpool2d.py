"""qmax_pool2d and qavg_pool2d: windows of quantised images, on the grid on which they are."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..geometry import Pair, both, pair
from .arguments import integer
from .kernel import kernel
from .pool2d import taps, windows


class _Plan(NamedTuple):
    shape: tuple[int, int, int, int]
    dtype: np.dtype


@kernel(x="u8|f32[N,H,W,C]", out="u8|f32[N,H',W',C]")
def qmax_pool2d(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair = (0, 0)) -> np.ndarray:
    """The greatest value in each window of x (N, H, W, C), uint8 or float32, channel by channel.

    y (N, H', W', C), H' = ⌊(H + 2p − k)/s⌋ + 1. Padding never wins; a window that sees no pixel gives 0, or
    −∞. Raises TypeError, ValueError as max_pool2d, which also says where it was found.
    kernel_size, stride, padding: integers or pairs (vertical, horizontal).
    """
    first, *rest = _windows(x, 0 if x.dtype == np.uint8 else -np.inf, kernel_size, stride, padding)
    y = first.copy()
    for pixels in rest:
        np.maximum(y, pixels, out=y)
    return y


@kernel(x="u8[N,H,W,C]", out="u8[N,H',W',C]")
def qavg_pool2d(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair = (0, 0), zero: int = 0
                ) -> np.ndarray:
    """The mean of each window of x (N, H, W, C), uint8, as an integer on the same grid: real 0 is `zero`.

    y (N, H', W', C): round_half_even(float32(Σ/k) − zero) + zero for the k pixels of a window, padding with
    `zero` included. Raises TypeError, ValueError as avg_pool2d, ValueError for a zero that is not in 0..255.
    kernel_size, stride, padding: integers or pairs (vertical, horizontal).
    """
    total = sum(pixels.astype(np.float32) for pixels in _windows(x, zero, kernel_size, stride, padding))
    down, across = both(kernel_size)
    mean = total / np.float32(down * across)
    return (np.rint(mean - np.float32(zero)) + np.float32(zero)).astype(np.uint8)


def _windows(x: np.ndarray, fill: float, kernel_size: Any, stride: Any, padding: Any) -> list[np.ndarray]:
    """For each pixel of a window what all windows see there, as views."""
    kernel_size, stride, (ph, pw) = both(kernel_size), both(stride), both(padding)
    counts = windows(x.shape[1:3], kernel_size, stride, (ph, pw))
    if ph or pw:
        x = np.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)), constant_values=fill)
    return [x[pixels] for pixels in taps(counts, kernel_size, stride)]


def _plan(who: str, x: tuple, dtype: np.dtype, kernel_size: Any, stride: Any, padding: Any) -> _Plan:
    kernel_size, stride = pair(who, "kernel_size", kernel_size, 1), pair(who, "stride", stride, 1)
    padding = pair(who, "padding", padding, 0)
    if any(2 * p > k for p, k in zip(padding, kernel_size, strict=True)):
        raise ValueError(f"{who}: padding must be at most half of kernel_size {kernel_size}, got {padding}")
    counts = windows(x[1:3], kernel_size, stride, padding)
    if min(counts) < 1:
        raise ValueError(f"{who}: kernel_size {kernel_size} is larger than images {x[1:3]} with padding "
                         f"{padding}")
    return _Plan((x[0], *counts, x[3]), dtype)


def _max_plan(x: tuple, x_dtype: np.dtype, kernel_size: Any, stride: Any, padding: Any) -> _Plan:
    return _plan("qmax_pool2d", x, x_dtype, kernel_size, stride, padding)


def _avg_plan(x: tuple, kernel_size: Any, stride: Any, padding: Any, zero: Any) -> _Plan:
    integer("qavg_pool2d", "zero", zero, 0, 255)
    return _plan("qavg_pool2d", x, np.dtype(np.uint8), kernel_size, stride, padding)


qmax_pool2d.runs(None, plan=_max_plan)
qavg_pool2d.runs(None, plan=_avg_plan)
