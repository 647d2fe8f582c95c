"""depthwise_conv2d: the convolution of float32 images with one filter for each channel, channels last."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import empty, ndarray

from .arguments import F32, READABLE, WRITABLE, array, output, room, usual
from .convolution import Geometry, both, geometry, met, pad, positions, readable
from .convolution_plan import Plan
from .kernel import kernel
from .native import NUMPY, check, ffi, from_buffer, lib, pointer
from .packed import Packed, aligned, packed_elsewhere


@kernel
def depthwise_conv2d(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, *,
                     stride: int | tuple[int, int] = 1, padding: int | tuple[int, int] = 0,
                     dilation: int | tuple[int, int] = 1, relu: bool = False) -> np.ndarray:
    """conv2d with groups = C = O: float32 images x (N, H, W, C), filters w (C, 1, kH, kW) → (N, H', W', C).

        y[n, i, j, c] = bias[c] + Σ_{a, b} w[c, 0, a, b] · x[n, i·sh + a·dh − ph, j·sw + b·dw − pw, c]

    Zeros stand around the images and take part like other numbers. (As the first half of a depthwise
    separable convolution: Chollet 2017.) H' = ⌊(H + 2·ph − dh·(kH − 1) − 1)/sh⌋ + 1. stride, padding,
    dilation: integers or pairs (vertical, horizontal). bias: float32 (C,). relu: the result is max(y, 0). w
    may be `depthwise_conv2d.pack(w)`. `out` takes the result: float32, channels adjacent, sharing no memory
    with an input. x is read in place if its channels are adjacent. Each element is within
    γ_{K+1} · (|w|·|x| + |bias|), K = kH·kW.
    Raises TypeError for a wrong type or dtype, ValueError for a wrong shape or value.
    """
    (sh, sw), (ph, pw), (dh, dw) = both(stride), both(padding), both(dilation)
    c, _, kh, kw = w.shape
    padded = pad(x, (ph, pw))
    rows, columns = positions(x.shape[1], kh, sh, ph, dh), positions(x.shape[2], kw, sw, pw, dw)
    y = np.zeros((len(x), rows, columns, c), np.result_type(x, w))
    for a in range(kh):
        for b in range(kw):   # each tap weighs the pixels that it meets
            y += padded[:, met(a, rows, sh, dh), met(b, columns, sw, dw)] * w[:, 0, a, b]
    if bias is not None:
        y += bias
    return np.maximum(y, 0) if relu else y


def depthwise(kernel: str, x: tuple, w: tuple, stride: Any, padding: Any, dilation: Any) -> Geometry:
    """The geometry of images of shape x and filters of shape w, one for each channel, or an error."""
    if w != (x[3], 1, *w[2:]):
        raise ValueError(f"{kernel}: w must have shape ({x[3]}, 1, kH, kW), a filter for each channel of x "
                         f"of shape {x}, got {w}")
    c = x[3]
    return geometry(kernel, x, (c, min(c, 1), *w[2:]), stride, padding, dilation, max(c, 1))


def by_tap(w: np.ndarray) -> np.ndarray:
    """(C, 1, kH, kW) → (kH·kW, C), as the C code reads it: all channels of a tap together."""
    c, _, kh, kw = w.shape
    taps = aligned((kh * kw, c), F32, zeros=False)
    taps[...] = w.reshape(c, kh * kw).T
    return taps


def _pack(w: np.ndarray) -> Packed:
    w = array("depthwise_conv2d.pack", "w", w, 4, F32)
    if w.shape[1] != 1:
        raise ValueError(f"depthwise_conv2d.pack: w must have shape (C, 1, kH, kW), got {w.shape}")
    return Packed(depthwise_conv2d, w.shape, taps=by_tap(w))


def _unpack(packed: Packed) -> np.ndarray:
    return np.ascontiguousarray(packed.parts["taps"].T).reshape(packed.shape)


def _call(x: np.ndarray, w: np.ndarray | Packed, bias: np.ndarray | None = None, *,
          stride: int | tuple[int, int] = 1, padding: int | tuple[int, int] = 0,
          dilation: int | tuple[int, int] = 1, relu: bool = False,
          out: np.ndarray | None = None) -> np.ndarray:
    if type(x) is not ndarray or x.dtype is not F32 or x.ndim != 4:
        x = array("depthwise_conv2d", "x", x, 4, F32)
    packed, plan = type(w) is Packed, None
    if not packed:
        w = array("depthwise_conv2d", "w", w, 4, F32)
    elif w.kernel is not depthwise_conv2d:
        raise packed_elsewhere("depthwise_conv2d", "w", w)
    else:
        plan = w.pinned
    asked = (x.shape, stride, padding, dilation)
    if plan is None or plan.asked != asked:
        plan = Plan("depthwise_conv2d", asked, depthwise("depthwise_conv2d", x.shape, w.shape, *asked[1:]))
        if packed:
            w.pinned = plan
    bias, b = (None, None) if bias is None else plan.checked(bias)
    if relu is not True and relu is not False:
        raise TypeError(f"depthwise_conv2d: relu must be True or False, got {type(relu).__name__}")
    shape, choice = plan.geometry.y, depthwise_conv2d.choice
    ready = x.flags.num & READABLE == READABLE   # C can take it as it lies, and the result too
    if out is None:
        try:
            result = empty(shape, F32)
        except (MemoryError, ValueError):   # says what has no room; asking it at once would cost 0.1 µs
            result = room("depthwise_conv2d", shape)
    elif ready and packed and choice != NUMPY and usual(out, shape, F32):
        result = out
    else:
        result = output("depthwise_conv2d", out, shape, F32, x, w, bias)
        ready = ready and result.flags.num & WRITABLE == WRITABLE

    if choice == NUMPY:
        at = plan.geometry
        result[...] = depthwise_conv2d.reference(x, w.unpack() if packed else w, bias, stride=at.stride,
                                                 padding=at.padding, dilation=at.dilation, relu=relu)
        return result if out is None else out
    if not packed:
        w = _pack(w)
    if w.plan is None:
        w.plan = from_buffer(w.parts["taps"])
    if ready:
        c, from_x, to = plan.c, from_buffer(x), from_buffer(result)
    else:
        x = readable(x)
        (c, _keep), from_x, to = plan.between(x.strides, result.strides), pointer(x), pointer(result)
    status = lib.nn_depthwise_conv2d(choice, c, from_x, w.plan, b or ffi.NULL, relu, to)
    if status:
        check("depthwise_conv2d", status)
    return result if out is None else out


def _repack(w: Any, shape: tuple[int, ...]) -> Packed:
    return _pack(w)


depthwise_conv2d.bind(_call, _pack, _unpack, _repack)
