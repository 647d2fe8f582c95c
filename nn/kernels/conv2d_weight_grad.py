"""conv2d_weight_grad: the gradient of a convolution's filters."""

from math import prod

import numpy as np

from ..geometry import Pair, both, pair
from .contract import Plan
from .convolution import geometry, pad, planned, taps
from .kernel import kernel


@kernel(x="f32[N,H,W,C] pixels", g="f32[N,H',W',O] pixels", out="f32[O,C/groups,kH,kW]")
def conv2d_weight_grad(x: np.ndarray, g: np.ndarray, kernel_size: Pair, *, stride: int | Pair = 1,
                       padding: int | Pair = 0, dilation: int | Pair = 1, groups: int = 1) -> np.ndarray:
    """∂(Σ g·y)/∂w for y = conv2d(x, w, …): x (N, H, W, C), g (N, H', W', O) → (O, C/groups, kH, kW), float32.

        dw[o, c, a, b] = Σ_{n, i, j} g[n, i, j, o] · x[n, i·sh + a·dh − ph, j·sw + b·dw − pw, c]

    Zeros stand around the images; whether a NaN or infinity in g meets those is not said. Each element is
    within γ_M · (|g| · |x|), M = N·H'·W'.
    """
    *positions, o = g.shape
    c, count = x.shape[3] // groups, prod(positions)
    by_group = g.reshape(count, groups, o // groups).transpose(1, 2, 0)
    gradient = np.zeros((o, c, *both(kernel_size)), np.result_type(x, g))
    for a, b, pixels in taps(pad(x, padding), kernel_size, stride, dilation):
        pixels = pixels.reshape(count, groups, c).transpose(1, 0, 2)
        gradient[:, :, a, b] = (by_group @ pixels).reshape(o, c)
    return gradient


def _plan(who, x, g, kernel_size, stride, padding, dilation, groups) -> Plan:
    kernel_size = pair(who, "kernel_size", kernel_size, 1)
    w = (g[3], x[3] // (groups if isinstance(groups, int) and groups > 0 else 1), *kernel_size)
    return planned(who, geometry(who, x, w, stride, padding, dilation, groups, g), w)


conv2d_weight_grad.runs("nn_conv2d_weight_grad(plan.c, x, g, out)", plan=_plan)
