"""depthwise_conv2d_input_grad, depthwise_conv2d_weight_grad: the gradients of a depthwise convolution."""

from __future__ import annotations

import numpy as np

from .arguments import F32, array, output, room
from .convolution import Geometry, both, met, pad, pair, phases, readable, struct
from .depthwise_conv2d import by_tap, depthwise
from .kernel import kernel
from .native import NUMPY, check, ffi, from_buffer, lib, pointer


@kernel
def depthwise_conv2d_input_grad(g: np.ndarray, w: np.ndarray, size: tuple[int, int], *,
                                stride: int | tuple[int, int] = 1, padding: int | tuple[int, int] = 0,
                                dilation: int | tuple[int, int] = 1) -> np.ndarray:
    """∂(Σ g·y)/∂x for y = depthwise_conv2d(x, w, …): g (N, H', W', C), w (C, 1, kH, kW) → (N, H, W, C).

        dx[n, h, w, c] = Σ g[n, i, j, c] · w[c, 0, a, b] over the positions and taps that meet that pixel

    float32. size: (H, W) of the images; pixels that a stride left out at the end get 0. `out` takes the
    result: float32, channels adjacent, sharing no memory with an input. Each element is within
    γ_K · (|g| · |w|), K = kH·kW. w must be finite.
    Raises TypeError for a wrong type or dtype, ValueError for a wrong shape or value.
    stride, padding, dilation: those of depthwise_conv2d.
    """
    (sh, sw), (ph, pw), (dh, dw) = both(stride), both(padding), both(dilation)
    c, _, kh, kw = w.shape
    n, rows, columns, _ = g.shape
    padded = np.zeros((n, size[0] + 2 * ph, size[1] + 2 * pw, c), np.result_type(g, w))
    for a in range(kh):
        for b in range(kw):   # what each tap met gets g times that tap
            padded[:, met(a, rows, sh, dh), met(b, columns, sw, dw)] += g * w[:, 0, a, b]
    return padded[:, ph:ph + size[0], pw:pw + size[1]]


@kernel
def depthwise_conv2d_weight_grad(x: np.ndarray, g: np.ndarray, kernel_size: tuple[int, int], *,
                                 stride: int | tuple[int, int] = 1, padding: int | tuple[int, int] = 0,
                                 dilation: int | tuple[int, int] = 1) -> np.ndarray:
    """∂(Σ g·y)/∂w for y = depthwise_conv2d(x, w, …): x (N, H, W, C), g (N, H', W', C) → (C, 1, kH, kW).

        dw[c, 0, a, b] = Σ_{n, i, j} g[n, i, j, c] · x[n, i·sh + a·dh − ph, j·sw + b·dw − pw, c]

    float32. kernel_size: (kH, kW). Zeros stand around the images; whether a NaN or infinity in g meets those
    is not said. `out` takes the result: float32, its last axis adjacent, sharing no memory with an input.
    Each element is within γ_M · (|g| · |x|), M = N·H'·W'. Raises TypeError, ValueError.
    stride, padding, dilation: those of depthwise_conv2d.
    """
    (sh, sw), (ph, pw), (dh, dw) = both(stride), both(padding), both(dilation)
    _, rows, columns, c = g.shape
    padded = pad(x, (ph, pw))
    gradient = np.zeros((c, 1, *kernel_size), np.result_type(x, g))
    for a in range(kernel_size[0]):
        for b in range(kernel_size[1]):   # each tap gets the products of g and the pixels that it met
            pixels = padded[:, met(a, rows, sh, dh), met(b, columns, sw, dw)]
            gradient[:, 0, a, b] = (g * pixels).sum(axis=(0, 1, 2))
    return gradient


def _fits(kernel: str, g: np.ndarray, at: Geometry) -> None:
    if g.shape != at.y:
        raise ValueError(f"{kernel}: g must have shape {at.y}, that of the convolution of images of shape "
                         f"{at.x}, got {g.shape}")


def _input_grad(g: np.ndarray, w: np.ndarray, size: tuple[int, int], *, stride: int | tuple[int, int] = 1,
                padding: int | tuple[int, int] = 0, dilation: int | tuple[int, int] = 1,
                out: np.ndarray | None = None) -> np.ndarray:
    who = "depthwise_conv2d_input_grad"
    g, w = array(who, "g", g, 4, F32), array(who, "w", w, 4, F32)
    size = pair(who, "size", size, 0)
    at = depthwise(who, (len(g), *size, len(w)), w.shape, stride, padding, dilation)
    _fits(who, g, at)
    some, complete = phases(at.w[2:], size, at.stride, at.padding, at.dilation)
    result = room(who, at.x, zeros=not complete) if out is None else output(who, out, at.x, F32, g, w)
    choice = depthwise_conv2d_input_grad.choice
    if choice == NUMPY:
        result[...] = depthwise_conv2d_input_grad.reference(g, w, size, stride=at.stride, padding=at.padding,
                                                            dilation=at.dilation)
        return result if out is None else out
    if out is not None and not complete:
        result[...] = 0
    g, weights, (sh, sw) = readable(g), by_tap(w), at.stride
    for i, j, taps, positions in some:
        meet = weights if len(taps) == len(weights) else weights[taps @ (at.w[3], 1)]
        _convolve(choice, g, meet, positions, result[:, i::sh, j::sw])
    return result if out is None else out


def _convolve(choice: int, g: np.ndarray, weights: np.ndarray, positions: np.ndarray, dx: np.ndarray) -> None:
    """dx = the convolution, with stride 1, of g with these taps."""
    c, _keep = struct(g.shape, g.strides, dx.shape, dx.strides, (1, 1), g.shape[3], positions)
    status = lib.nn_depthwise_conv2d(choice, c, pointer(g), from_buffer(weights), ffi.NULL, False,
                                     pointer(dx))
    if status:
        check("depthwise_conv2d_input_grad", status)


def _weight_grad(x: np.ndarray, g: np.ndarray, kernel_size: tuple[int, int], *,
                 stride: int | tuple[int, int] = 1, padding: int | tuple[int, int] = 0,
                 dilation: int | tuple[int, int] = 1, out: np.ndarray | None = None) -> np.ndarray:
    who = "depthwise_conv2d_weight_grad"
    x, g = array(who, "x", x, 4, F32), array(who, "g", g, 4, F32)
    kernel_size, c = pair(who, "kernel_size", kernel_size, 1), x.shape[3]
    shape = c, 1, *kernel_size
    at = depthwise(who, x.shape, shape, stride, padding, dilation)
    _fits(who, g, at)
    result = room(who, shape) if out is None else output(who, out, shape, F32, x, g)
    choice = depthwise_conv2d_weight_grad.choice
    if choice == NUMPY:
        result[...] = depthwise_conv2d_weight_grad.reference(x, g, kernel_size, stride=at.stride,
                                                             padding=at.padding, dilation=at.dilation)
        return result if out is None else out
    x, g, totals = readable(x), readable(g), room(who, (*kernel_size, c))
    c_geometry, _keep = struct(x.shape, x.strides, g.shape, g.strides, at.stride, at.groups, at.offsets())
    status = lib.nn_depthwise_conv2d_weight_grad(choice, c_geometry, pointer(x), pointer(g),
                                                 from_buffer(totals))
    if status:
        check(who, status)
    result[:, 0] = totals.transpose(2, 0, 1)
    return result if out is None else out


depthwise_conv2d_input_grad.bind(_input_grad)
depthwise_conv2d_weight_grad.bind(_weight_grad)
