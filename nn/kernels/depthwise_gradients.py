"""depthwise_conv2d_input_grad, depthwise_conv2d_weight_grad: the gradients of a depthwise convolution."""

import numpy as np

from ..geometry import Pair, both, pair
from .contract import Plan
from .convolution import pad, padded_zeros, phases, planned, struct, taps
from .depthwise_conv2d import by_tap, depthwise
from .kernel import kernel
from .native import NULL, check, from_buffer, lib, pointer


@kernel(g="f32[N,H',W',C] pixels", w="f32[C,1,kH,kW]", out="f32[N,H,W,C] pixels")
def depthwise_conv2d_input_grad(g: np.ndarray, w: np.ndarray, size: Pair, *, stride: int | Pair = 1,
                                padding: int | Pair = 0, dilation: int | Pair = 1) -> np.ndarray:
    """∂(Σ g·y)/∂x for y = depthwise_conv2d(x, w, …): g (N, H', W', C), w (C, 1, kH, kW) → (N, H, W, C).

        dx[n, h, w, c] = Σ g[n, i, j, c] · w[c, 0, a, b] over the positions and taps that meet that pixel

    float32. size: (H, W) of the images; pixels that a stride left out at the end get 0. Each element is
    within γ_K · (|g| · |w|), K = kH·kW. w must be finite.
    """
    padded, dx = padded_zeros(len(g), size, len(w), padding, np.result_type(g, w))
    for a, b, pixels in taps(padded, w.shape[2:], stride, dilation):   # what it met gets g times the tap
        pixels += g * w[:, 0, a, b]
    return dx


@kernel(x="f32[N,H,W,C] pixels", g="f32[N,H',W',C] pixels", out="f32[C,1,kH,kW] rows")
def depthwise_conv2d_weight_grad(x: np.ndarray, g: np.ndarray, kernel_size: Pair, *, stride: int | Pair = 1,
                                 padding: int | Pair = 0, dilation: int | Pair = 1) -> np.ndarray:
    """∂(Σ g·y)/∂w for y = depthwise_conv2d(x, w, …): x (N, H, W, C), g (N, H', W', C) → (C, 1, kH, kW).

        dw[c, 0, a, b] = Σ_{n, i, j} g[n, i, j, c] · x[n, i·sh + a·dh − ph, j·sw + b·dw − pw, c]

    float32. Zeros stand around the images; whether a NaN or infinity in g meets those is not said. Each
    element is within γ_M · (|g| · |x|), M = N·H'·W'.
    """
    gradient = np.zeros((g.shape[3], 1, *both(kernel_size)), np.result_type(x, g))
    for a, b, pixels in taps(pad(x, padding), kernel_size, stride, dilation):
        gradient[:, 0, a, b] = (g * pixels).sum(axis=(0, 1, 2))
    return gradient


def _input_plan(who, g, w, size, stride, padding, dilation) -> Plan:
    x = (g[0], *pair(who, "size", size, 0), w[0])
    return Plan(x, geometry=depthwise(who, x, w, stride, padding, dilation, g=g))


def _input_grad(choice: int, g: np.ndarray, w: np.ndarray, plan: Plan, out: np.ndarray) -> None:
    at = plan.geometry
    some, complete = phases(at.w[2:], at.x[1:3], at.stride, at.padding, at.dilation)
    if not complete:
        out[...] = 0
    weights, (sh, sw) = by_tap(w), at.stride
    for i, j, which, positions in some:    # dx = the convolution, with stride 1, of g with these taps
        meet = weights if len(which) == len(weights) else weights[which @ (at.w[3], 1)]
        dx = out[:, i::sh, j::sw]
        c, _keep = struct(g.shape, g.strides, dx.shape, dx.strides, (1, 1), g.shape[3], positions)
        check("depthwise_conv2d_input_grad",
              lib.nn_depthwise_conv2d(choice, c, pointer(g), from_buffer(meet), NULL, False, pointer(dx)))


def _weight_plan(who, x, g, kernel_size, stride, padding, dilation) -> Plan:
    w = x[3], 1, *pair(who, "kernel_size", kernel_size, 1)
    return planned(who, depthwise(who, x, w, stride, padding, dilation, g=g), w)


def _weight_grad(choice: int, x: np.ndarray, g: np.ndarray, plan: Plan, out: np.ndarray) -> None:
    c, _, kh, kw = out.shape
    totals = np.empty((kh, kw, c), out.dtype)
    plan = plan.lying(x.strides, g.strides)
    check("depthwise_conv2d_weight_grad", lib.nn_depthwise_conv2d_weight_grad(
        choice, plan.c, pointer(x), pointer(g), from_buffer(totals)))
    out[:, 0] = totals.transpose(2, 0, 1)


depthwise_conv2d_input_grad.runs(_input_grad, plan=_input_plan)
depthwise_conv2d_weight_grad.runs(_weight_grad, plan=_weight_plan)
