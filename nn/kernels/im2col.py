"""im2col: the patch that a filter sees at each position, as one row."""

from math import prod

import numpy as np

from ..geometry import Pair, Windows, both, positions
from .arguments import integer
from .contract import Plan
from .convolution import pad
from .kernel import kernel
from .native import ffi


@kernel(x="u8|f32[N,H,W,C]", out="u8|f32[N,H',W',K]")
def im2col(x: np.ndarray, kernel_size: Pair, *, stride: int | Pair = 1, padding: int | Pair = 0,
           dilation: int | Pair = 1, fill: int = 0) -> np.ndarray:
    """x (N, H, W, C), uint8 or float32 → (N, H', W', kH·kW·C): under every position its patch, tap by tap.

    A convolution is then one product of matrices (Chellapilla, Puri & Simard 2006), with filters as rows in
    the order kH, kW, C. H' = ⌊(H + 2·ph − dh·(kH − 1) − 1)/sh⌋ + 1. The padding holds `fill`: 0, or the
    integer that stands for it, in 0..255.
    """
    view = patches(x, both(kernel_size), both(stride), both(padding), both(dilation), fill)
    return view.reshape(*view.shape[:3], prod(view.shape[3:]))


def patches(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, fill: int
            ) -> np.ndarray:
    """The same as a view (N, H', W', kH, kW, C) of the padded images: patches overlap in memory."""
    (kh, kw), (sh, sw), (dh, dw) = kernel_size, stride, dilation
    x = np.ascontiguousarray(pad(x, padding, fill))
    n, height, width, c = x.shape
    down, across = positions(height, kh, sh, 0, dh), positions(width, kw, sw, 0, dw)
    image, row, pixel, channel = x.strides
    return np.ndarray((n, down, across, kh, kw, c), x.dtype, x, 0,
                      (image, row * sh, pixel * sw, row * dh, pixel * dw, channel))


def _plan(who, x, x_dtype, kernel_size, stride, padding, dilation, fill) -> Plan:
    at = Windows(who, x, kernel_size, stride, padding, dilation, x[1:3])
    fill = np.array(integer(who, "fill", fill, 0, 255), x_dtype).tobytes()
    y = x[0], *at.out, prod(at.kernel) * x[3]
    if ffi is None:
        return Plan(y, x_dtype)
    windows = *x[:3], x[3] * x_dtype.itemsize, *at.out, *at.kernel, *at.stride, *at.padding
    return Plan(y, x_dtype, ffi.new("nn_patches *", (windows, *at.dilation, x_dtype.itemsize, fill)))


im2col.runs("nn_im2col(plan.c, x, out)", plan=_plan)
