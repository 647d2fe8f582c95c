"""qmax_pool2d and qavg_pool2d: windows of quantised images, on the grid on which they are."""

from math import prod

import numpy as np

from ..geometry import Pair, both
from .arguments import U8, integer
from .contract import Plan
from .convolution import pad, taps
from .kernel import kernel
from .pool2d import pooled


@kernel(x="u8|f32[N,H,W,C]", out="u8|f32[N,H',W',C]")
def qmax_pool2d(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair = (0, 0)) -> np.ndarray:
    """The greatest value in each window of x (N, H, W, C), uint8 or float32, channel by channel.

    y (N, H', W', C), H' = ⌊(H + 2p − k)/s⌋ + 1. Padding never wins; a window that sees no pixel gives 0, or
    −∞. (Where it was found, max_pool2d says.)
    """
    padded = pad(x, padding, -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min)
    (_, _, first), *rest = taps(padded, kernel_size, stride)
    y = first.copy()
    for _, _, pixels in rest:
        np.maximum(y, pixels, out=y)
    return y


@kernel(x="u8[N,H,W,C]", out="u8[N,H',W',C]")
def qavg_pool2d(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair = (0, 0), zero: int = 0
                ) -> np.ndarray:
    """The mean of each window of x (N, H, W, C), uint8, as an integer on the same grid: real 0 is `zero`.

    y (N, H', W', C): round_half_even(float32(Σ/k) − zero) + zero for the k pixels of a window, padding with
    `zero`, which is in 0..255, included.
    """
    padded = pad(x, padding, zero).astype(np.float32)
    total = sum(pixels for _, _, pixels in taps(padded, kernel_size, stride))
    mean = total / np.float32(prod(both(kernel_size)))
    return (np.rint(mean - np.float32(zero)) + np.float32(zero)).astype(x.dtype)


def _max_plan(who, x, x_dtype, kernel_size, stride, padding) -> Plan:
    return Plan((x[0], *pooled(who, x, kernel_size, stride, padding)[0], x[3]), x_dtype)


def _avg_plan(who, x, kernel_size, stride, padding, zero) -> Plan:
    integer(who, "zero", zero, 0, 255)
    return _max_plan(who, x, U8, kernel_size, stride, padding)


qmax_pool2d.runs(None, plan=_max_plan)
qavg_pool2d.runs(None, plan=_avg_plan)
