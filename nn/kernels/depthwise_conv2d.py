"""depthwise_conv2d: the convolution of float32 images with one filter for each channel, channels last."""

from typing import Any

import numpy as np

from ..geometry import Pair
from .arguments import F32
from .contract import Plan, operand
from .convolution import Geometry, geometry, pad, planned, taps
from .kernel import kernel
from .operand import Operand, aligned


@kernel(x="f32[N,H,W,C] pixels", w=operand("f32[O,1,kH,kW]"), bias="f32[O]?", out="f32[N,H',W',C] pixels")
def depthwise_conv2d(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, *,
                     stride: int | Pair = 1, padding: int | Pair = 0, dilation: int | Pair = 1,
                     relu: bool = False) -> np.ndarray:
    """conv2d with groups = C = O: float32 images x (N, H, W, C), filters w (C, 1, kH, kW) → (N, H', W', C).

        y[n, i, j, c] = bias[c] + Σ_{a, b} w[c, 0, a, b] · x[n, i·sh + a·dh − ph, j·sw + b·dw − pw, c]

    Zeros stand around the images and take part like other numbers. (As the first half of a depthwise
    separable convolution: Chollet 2017.) H' = ⌊(H + 2·ph − dh·(kH − 1) − 1)/sh⌋ + 1. relu: the result is
    max(y, 0). w may be `depthwise_conv2d.pack(w)`. x is read in place if its channels are adjacent. Each
    element is within γ_{K+1} · (|w|·|x| + |bias|), K = kH·kW.
    """
    y = np.zeros((), np.result_type(x, w))
    for a, b, pixels in taps(pad(x, padding), w.shape[2:], stride, dilation):
        y = y + pixels * w[:, 0, a, b]
    if bias is not None:
        y += bias
    return np.maximum(y, 0) if relu else y


def depthwise(kernel: str, x: tuple, w: tuple, *how: Any, g: tuple | None = None) -> Geometry:
    """The `geometry` of images of shape x and filters of shape w, one for each channel, or an error."""
    c = x[3]
    if w != (c, 1, *w[2:]):
        raise ValueError(f"{kernel}: w must have shape ({c}, 1, kH, kW), a filter for each channel of x of "
                         f"shape {x}, got {w}")
    return geometry(kernel, x, (c, min(c, 1), *w[2:]), *how, max(c, 1), g)


def by_tap(w: np.ndarray) -> np.ndarray:
    """(C, 1, kH, kW) → (kH·kW, C), as the C code reads it: all channels of a tap together."""
    c, _, kh, kw = w.shape
    taps = aligned((kh * kw, c), F32, zeros=False)
    taps[...] = w.reshape(c, kh * kw).T
    return taps


def _pack(w: np.ndarray) -> Operand:
    if w.shape[1] != 1:
        raise ValueError(f"depthwise_conv2d.pack: w must have shape (C, 1, kH, kW), got {w.shape}")
    return Operand(depthwise_conv2d, w.shape, taps=by_tap(w))


def _plan(who, x, w, stride, padding, dilation, relu) -> Plan:
    at = depthwise(who, x, w, stride, padding, dilation)
    return planned(who, at, at.y, relu)


depthwise_conv2d.runs("nn_depthwise_conv2d(plan.c, x, w.c, bias, relu, out)", plan=_plan, pack=_pack,
                      unpack=lambda w: np.ascontiguousarray(w.parts["taps"].T).reshape(w.shape))
