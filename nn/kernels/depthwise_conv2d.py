"""depthwise_conv2d, the convolution of float32 images with one filter for each channel; and its gradients."""

from typing import Any

import numpy as np

from ..geometry import Pair, both, pair
from .contract import Plan, operand
from .convolution import Geometry, geometry, pad, padded, phases, planned, struct, taps
from .kernel import kernel
from .native import NULL, check, from_buffer, lib, pointer
from .operand import Operand, aligned


@kernel(x="f32[N,H,W,C] pixels", w=operand("f32[O,1,kH,kW]"), bias="f32[O]?", out="f32[N,H',W',C] pixels")
def depthwise_conv2d(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, *,
                     stride: int | Pair = 1, padding: int | Pair = 0, dilation: int | Pair = 1,
                     relu: bool = False) -> np.ndarray:
    """conv2d with groups = C = O: float32 images x (N, H, W, C), filters w (C, 1, kH, kW) → (N, H', W', C).

        y[n, i, j, c] = bias[c] + Σ_{a, b} w[c, 0, a, b] · x[n, i·sh + a·dh − ph, j·sw + b·dw − pw, c]

    The first half of a depthwise separable convolution (Chollet 2017). relu and all else is as conv2d says,
    K = kH·kW.
    """
    met = taps(pad(x, padding), w.shape[2:], stride, dilation)
    y = sum(pixels * w[:, 0, a, b] for a, b, pixels in met) + (0 if bias is None else bias)
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
    taps = aligned((kh * kw, c), w.dtype)
    taps[...] = w.reshape(c, kh * kw).T
    return taps


def packed_taps(who: str, w: np.ndarray) -> np.ndarray:
    """The filters that an operand of the kernel `who` is made of, `by_tap`."""
    if w.shape[1] != 1:
        raise ValueError(f"{who}.pack: w must have shape (C, 1, kH, kW), got {w.shape}")
    return by_tap(w)


def unpacked(w: Operand) -> np.ndarray:
    """The way back from an operand with taps, to (C, 1, kH, kW)."""
    return np.ascontiguousarray(w.parts["taps"].T).reshape(w.shape)


def _pack(w: np.ndarray) -> Operand:
    return Operand(depthwise_conv2d, w.shape, taps=packed_taps("depthwise_conv2d", w))


def _plan(who, x, w, stride, padding, dilation, relu) -> Plan:
    return planned(who, depthwise(who, x, w, stride, padding, dilation), relu=relu)


depthwise_conv2d.runs("nn_depthwise_conv2d(plan.c, x, w.c, bias, relu, out)", plan=_plan, pack=_pack,
                      unpack=unpacked)


@kernel(g="f32[N,H',W',C] pixels", w="f32[C,1,kH,kW]", out="f32[N,H,W,C] pixels")
def depthwise_conv2d_input_grad(g: np.ndarray, w: np.ndarray, size: Pair, *, stride: int | Pair = 1,
                                padding: int | Pair = 0, dilation: int | Pair = 1) -> np.ndarray:
    """∂(Σ g·y)/∂x for y = depthwise_conv2d(x, w, …): g (N, H', W', C), w (C, 1, kH, kW) → (N, H, W, C).

        dx[n, h, w, c] = Σ g[n, i, j, c] · w[c, 0, a, b] over the positions and taps that meet that pixel

    As conv2d_input_grad says, K = kH·kW.
    """
    whole, dx = padded((len(g), *both(size), len(w)), padding, np.result_type(g, w))
    for a, b, pixels in taps(whole, w.shape[2:], stride, dilation):  # what it met gets g times the tap
        pixels += g * w[:, 0, a, b]
    return dx


@kernel(x="f32[N,H,W,C] pixels", g="f32[N,H',W',C] pixels", out="f32[C,1,kH,kW] rows")
def depthwise_conv2d_weight_grad(x: np.ndarray, g: np.ndarray, kernel_size: Pair, *, stride: int | Pair = 1,
                                 padding: int | Pair = 0, dilation: int | Pair = 1) -> np.ndarray:
    """∂(Σ g·y)/∂w for y = depthwise_conv2d(x, w, …): x (N, H, W, C), g (N, H', W', C) → (C, 1, kH, kW).

        dw[c, 0, a, b] = Σ_{n, i, j} g[n, i, j, c] · x[n, i·sh + a·dh − ph, j·sw + b·dw − pw, c]

    As conv2d_weight_grad says.
    """
    gradient = np.zeros((g.shape[3], 1, *both(kernel_size)), np.result_type(x, g))
    for a, b, pixels in taps(pad(x, padding), kernel_size, stride, dilation):
        gradient[:, 0, a, b] = (g * pixels).sum(axis=(0, 1, 2))
    return gradient


def _input_plan(who, g, w, size, stride, padding, dilation) -> Plan:
    x = (g[0], *pair(who, "size", size, 0), w[0])
    return Plan(x, geometry=depthwise(who, x, w, stride, padding, dilation, g=g))


def _input_grad(choice, g, w, plan, out) -> None:
    at = plan.geometry
    some, complete = phases(at.w[2:], at.x[1:3], at.stride, at.padding, at.dilation)
    if not complete:
        out[...] = 0
    weights, (sh, sw) = by_tap(w), at.stride
    for i, j, which, positions in some:  # dx = the convolution, with stride 1, of g with these taps
        meet = weights if len(which) == len(weights) else weights[which @ (at.w[3], 1)]
        dx = out[:, i::sh, j::sw]
        c, _keep = struct(g.shape, g.strides, dx.shape, dx.strides, (1, 1), g.shape[3], positions)
        check("depthwise_conv2d_input_grad",
              lib.nn_depthwise_conv2d(choice, c, pointer(g), from_buffer(meet), NULL, False, pointer(dx)))


def _weight_plan(who, x, g, kernel_size, stride, padding, dilation) -> Plan:
    w = x[3], 1, *pair(who, "kernel_size", kernel_size, 1)
    return planned(who, depthwise(who, x, w, stride, padding, dilation, g=g), w)


def _weight_grad(choice, x, g, plan, out) -> None:
    c, _, kh, kw = out.shape
    totals = np.empty((kh, kw, c), out.dtype)
    plan = plan.lying(x.strides, g.strides)
    check("depthwise_conv2d_weight_grad", lib.nn_depthwise_conv2d_weight_grad(
        choice, plan.c, pointer(x), pointer(g), from_buffer(totals)))
    out[:, 0] = totals.transpose(2, 0, 1)


depthwise_conv2d_input_grad.runs(_input_grad, plan=_input_plan)
depthwise_conv2d_weight_grad.runs(_weight_grad, plan=_weight_plan)
