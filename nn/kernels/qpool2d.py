"""qmax_pool2d and qavg_pool2d: windows of quantised images, on the grid on which they are."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..geometry import Pair, both
from .arguments import U8, integer
from .convolution import pad
from .kernel import kernel
from .pool2d import pooled, taps, windows


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
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    first, *rest = _windows(x, lowest, kernel_size, stride, padding)
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
    return (np.rint(mean - np.float32(zero)) + np.float32(zero)).astype(x.dtype)


def _windows(x: np.ndarray, fill: float, kernel_size: Any, stride: Any, padding: Any) -> list[np.ndarray]:
    """For each pixel of a window what all windows see there, as views."""
    kernel_size, stride, padding = both(kernel_size), both(stride), both(padding)
    counts = windows(x.shape[1:3], kernel_size, stride, padding)
    x = pad(x, padding, fill) if any(padding) else x
    return [x[pixels] for pixels in taps(counts, kernel_size, stride)]


def _max_plan(x: tuple, x_dtype: np.dtype, kernel_size: Any, stride: Any, padding: Any) -> _Plan:
    return _Plan((x[0], *pooled("qmax_pool2d", x, kernel_size, stride, padding)[0], x[3]), x_dtype)


def _avg_plan(x: tuple, kernel_size: Any, stride: Any, padding: Any, zero: Any) -> _Plan:
    integer("qavg_pool2d", "zero", zero, 0, 255)
    return _Plan((x[0], *pooled("qavg_pool2d", x, kernel_size, stride, padding)[0], x[3]), U8)


qmax_pool2d.runs(None, plan=_max_plan)
qavg_pool2d.runs(None, plan=_avg_plan)
