"""conv2d_weight_grad: the gradient of a convolution's filters."""

from __future__ import annotations

import numpy as np

from .arguments import F32, array, output, room
from .convolution import both, geometry, met, pad, pair, readable, struct
from .kernel import kernel
from .native import NUMPY, check, lib, pointer


@kernel
def conv2d_weight_grad(x: np.ndarray, g: np.ndarray, kernel_size: tuple[int, int], *,
                       stride: int | tuple[int, int] = 1, padding: int | tuple[int, int] = 0,
                       dilation: int | tuple[int, int] = 1, groups: int = 1) -> np.ndarray:
    """∂(Σ g·y)/∂w for y = conv2d(x, w, …): x (N, H, W, C), g (N, H', W', O) → (O, C/groups, kH, kW), float32.

        dw[o, c, a, b] = Σ_{n, i, j} g[n, i, j, o] · x[n, i·sh + a·dh − ph, j·sw + b·dw − pw, c]

    kernel_size: (kH, kW). Zeros stand around the images; whether a NaN or infinity in g meets those is not
    said. `out` takes the result: float32, its last axis adjacent, sharing no memory with an input. Each
    element is within γ_M · (|g| · |x|), M = N·H'·W'. Raises TypeError, ValueError.
    stride, padding, dilation, groups: those of conv2d.
    """
    (sh, sw), (ph, pw), (dh, dw) = both(stride), both(padding), both(dilation)
    n, rows, columns, o = g.shape
    c, count = x.shape[3] // groups, n * rows * columns
    padded = pad(x, (ph, pw))
    by_group = g.reshape(count, groups, o // groups).transpose(1, 2, 0)
    gradient = np.zeros((o, c, *kernel_size), np.result_type(x, g))
    for a in range(kernel_size[0]):
        for b in range(kernel_size[1]):
            pixels = padded[:, met(a, rows, sh, dh), met(b, columns, sw, dw)]
            pixels = pixels.reshape(count, groups, c).transpose(1, 0, 2)
            gradient[:, :, a, b] = (by_group @ pixels).reshape(o, c)
    return gradient


def _call(x: np.ndarray, g: np.ndarray, kernel_size: tuple[int, int], *, stride: int | tuple[int, int] = 1,
          padding: int | tuple[int, int] = 0, dilation: int | tuple[int, int] = 1, groups: int = 1,
          out: np.ndarray | None = None) -> np.ndarray:
    x = array("conv2d_weight_grad", "x", x, 4, F32)
    g = array("conv2d_weight_grad", "g", g, 4, F32)
    kernel_size = pair("conv2d_weight_grad", "kernel_size", kernel_size, 1)
    groups_ = groups if isinstance(groups, int) and groups > 0 else 1
    w = (g.shape[3], x.shape[3] // groups_, *kernel_size)
    at = geometry("conv2d_weight_grad", x.shape, w, stride, padding, dilation, groups)
    if g.shape != at.y:
        raise ValueError(f"conv2d_weight_grad: g must have shape {at.y}, that of the convolution of images "
                         f"of shape {x.shape}, got {g.shape}")
    if out is not None:
        out = output("conv2d_weight_grad", out, w, F32, x, g)
    result = out if out is not None and out.flags.c_contiguous else room("conv2d_weight_grad", w)
    choice = conv2d_weight_grad.choice
    if choice == NUMPY:
        result = conv2d_weight_grad.reference(x, g, kernel_size, stride=at.stride, padding=at.padding,
                                              dilation=at.dilation, groups=at.groups)
        return result if out is None else _into(out, result)
    x, g = readable(x), readable(g)
    c_geometry, _keep = struct(x.shape, x.strides, g.shape, g.strides, at.stride, at.groups, at.offsets())
    status = lib.nn_conv2d_weight_grad(choice, c_geometry, pointer(x), pointer(g), pointer(result))
    if status:
        check("conv2d_weight_grad", status)
    return result if out is None or out is result else _into(out, result)


def _into(out: np.ndarray, result: np.ndarray) -> np.ndarray:
    out[...] = result
    return out


conv2d_weight_grad.bind(_call)
