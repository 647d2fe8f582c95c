"""Convolution (cross-correlation, as everywhere in deep learning), by the kernel of that name.

Where every channel has one filter of its own, the kernels of depthwise_conv2d do the same sooner.
"""

import math

import numpy as np

from .. import kernels
from ..kernels import channels_last
from .linear import column_sums
from .record import Rule
from .windows import Windows


def _conv2d(x, w, b, *, stride=1, padding=0, dilation=1, groups=1):
    how = _geometry(x, w, b, stride, padding, dilation, groups)
    kernel, _, _, options = _kernels(w, how)
    y = kernel(channels_last(x), w, b, **options)
    return y.transpose(0, 3, 1, 2), (x, w, how)


def _conv2d_vjp(g, saved, needs):
    x, w, how = saved
    _, input_grad, weight_grad, options = _kernels(w, how)
    dx = dw = db = None
    pixels = channels_last(g)
    if needs[0]:    # what each tap of the filters met gets g times that tap
        dx = input_grad(pixels, w, x.shape[2:], **options).transpose(0, 3, 1, 2)
    if needs[1]:
        dw = weight_grad(channels_last(x), pixels, w.shape[2:], **options)
    if needs[2]:
        db = column_sums(pixels.reshape(-1, len(w)))
    return dx, dw, db


def _conv2d_jvp(t, i, saved, out, **attrs):
    """y is linear in x, and in w, and in b."""
    x, w, *_ = saved
    return t[:, None, None] if i == 2 else _conv2d(*((x, t) if i else (t, w)), None, **attrs)[0]


def _kernels(w, how):
    """The kernels of this convolution and of its two gradients, and what they want to know."""
    if how["groups"] > 1 and w.shape[:2] == (how["groups"], 1):
        options = {name: value for name, value in how.items() if name != "groups"}
        return (kernels.depthwise_conv2d, kernels.depthwise_conv2d_input_grad,
                kernels.depthwise_conv2d_weight_grad, options)
    return kernels.conv2d, kernels.conv2d_input_grad, kernels.conv2d_weight_grad, how


def _geometry(x, w, b, stride, padding, dilation, groups):
    """Check that everything fits; what the kernels want to know beside the arrays."""
    if isinstance(groups, bool) or not isinstance(groups, (int, np.integer)) or groups < 1:
        raise ValueError(f"conv2d: groups is {groups!r}, wanted an int of at least 1")
    if w.ndim != 4 or x.ndim != 4 or x.shape[1] != w.shape[1] * groups or len(w) % groups:
        raise ValueError(f"conv2d: x of shape {x.shape} does not fit a weight of shape {w.shape} in {groups} "
                         "group(s); wanted (N, C, H, W) and (O, C/groups, kH, kW), O a multiple of groups")
    if b is not None and b.shape != w.shape[:1]:
        raise ValueError(f"conv2d: the bias has shape {b.shape}, wanted {w.shape[:1]} "
                         f"for a weight of shape {w.shape}")
    at = Windows("conv2d", x.shape, w.shape[2:], stride, padding, dilation)
    return {"stride": at.stride, "padding": at.padding, "dilation": at.dilation, "groups": groups}


def _conv2d_twin(x, w, b, *, stride=1, padding=0, dilation=1, groups=1):
    """Tap by tap: each w[:, :, i, j] times the pixels that it meets. Zero-padding is a linear map."""
    _geometry(x, w, b, stride, padding, dilation, groups)
    windows = Windows("conv2d", x.shape, w.shape[2:], stride, padding, dilation)
    (top, left), (height, width) = windows.padding, x.shape[2:]
    padded = np.eye(height, height + 2 * top, top).T @ x @ np.eye(width, width + 2 * left, left)
    n, o, y = x.shape[0], w.shape[0], 0
    for i, j, (_, down, across) in windows.taps():
        pixels = padded[:, :, down, across].reshape(n, groups, w.shape[1], math.prod(windows.out))
        y = y + w[:, :, i, j].reshape(groups, o // groups, w.shape[1]) @ pixels
    y = y.reshape(n, o, *windows.out)
    return y if b is None else y + b.reshape(-1, 1, 1)


def _samples(rng):
    cases = (   # x, w, bias?, how
        ((2, 2, 4, 4), (3, 2, 3, 3), True, {"padding": 1}),
        ((1, 2, 5, 6), (2, 2, 2, 3), False, {"stride": (2, 3), "padding": (0, 2)}),
        ((1, 4, 5, 5), (2, 2, 2, 2), True, {"dilation": (2, 1), "groups": 2, "stride": 2}),
        ((2, 3, 3, 3), (3, 1, 3, 3), True, {"padding": 1, "groups": 3}),
        ((2, 3, 2, 2), (2, 3, 1, 1), False, {}))
    return [([rng.normal(size=x), rng.normal(size=w), rng.normal(size=w[0]) if bias else None], how)
            for x, w, bias, how in cases]


conv2d = Rule(
    "conv2d", "y = Σ w[:, :, i, j]·(the x it meets) + b over the taps;  "
    "dx = Σ g·w[:, :, i, j] where it met x, dw[:, :, i, j] = Σ g·(the x it met), db = Σg",
    _conv2d, _conv2d_vjp, jvp=_conv2d_jvp, twin=_conv2d_twin, samples=_samples, fresh=True)
