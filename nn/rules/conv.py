"""Convolution (cross-correlation, as everywhere in deep learning), by the kernel of that name.

Where every channel has one filter of its own, the kernels of depthwise_conv2d do the same faster.
"""

import math

import numpy as np

from .. import kernels
from ..arguments import count
from ..geometry import Windows, met_by_tap
from ..kernels import channels_last
from .linear import column_sums
from .record import CONSTANT, rule
from .samples import cases


def _conv2d_vjp(g, saved, needs):
    x, w, how = saved
    g = turned_once(g)
    return (needs[0] and conv2d_input_grad(g, w, size=x.shape[2:], **how),
            needs[1] and conv2d_weight_grad(x, g, size=w.shape[2:], **how), needs[2] and channel_sums(g))


def _conv2d_jvp(t, i, saved, out, **attrs):
    """y is linear in x, and in w, and in b."""
    x, w, _ = saved
    return t[:, None, None] if i == 2 else conv2d(*((x, t) if i else (t, w)), None, **attrs)


def turned_once(g):
    """Images (N, C, H, W) whose memory is channels-last, so that none of several kernels copies them."""
    return channels_last(g).transpose(0, 3, 1, 2) if isinstance(g, np.ndarray) else g


def channel_sums(g):
    """Σ over all pixels of images (N, C, H, W): a number for each channel."""
    pixels = channels_last(g) if isinstance(g, np.ndarray) else g.transpose((0, 2, 3, 1))
    return column_sums(pixels.reshape(-1, g.shape[1]))


def _kernels(channels, filters, how):
    """The kernels of this convolution and of its two gradients, and their settings."""
    if how["groups"] > 1 and channels == filters == how["groups"]:
        options = {name: value for name, value in how.items() if name != "groups"}
        return (kernels.depthwise_conv2d, kernels.depthwise_conv2d_input_grad,
                kernels.depthwise_conv2d_weight_grad, options)
    return kernels.conv2d, kernels.conv2d_input_grad, kernels.conv2d_weight_grad, how


def filters_fit(op, x, w, b, groups, *, transposed=False):
    """Raise ValueError unless images x, filters w in `groups` parts, and the bias b fit each other."""
    count(op, "groups", groups)
    if w.ndim != 4 or x.ndim != 4 or len(w) % groups or (
            x.shape[1] != (len(w) if transposed else w.shape[1] * groups)):
        first, second = "CO" if transposed else "OC"
        raise ValueError(f"{op}: x of shape {x.shape} does not fit a weight of shape {w.shape} in {groups} "
                         f"group(s); wanted (N, C, H, W) and ({first}, {second}/groups, kH, kW), {first} a "
                         "multiple of groups")
    out = w.shape[1] * groups if transposed else len(w)
    if b is not None and b.shape != (out,):
        raise ValueError(f"{op}: the bias has shape {b.shape}, wanted {(out,)} for a weight of shape "
                         f"{w.shape} in {groups} group(s)")


def _windows(x, w, b, stride, padding, dilation, groups):
    filters_fit("conv2d", x, w, b, groups)
    return Windows("conv2d", x.shape, w.shape[2:], stride, padding, dilation)


def _conv2d_twin(x, w, b, *, stride=1, padding=0, dilation=1, groups=1):
    """Tap by tap: each w[:, :, i, j] times the pixels that it meets. Zero-padding is a linear map."""
    windows = _windows(x, w, b, stride, padding, dilation, groups)
    (top, left), (height, width) = windows.padding, x.shape[2:]
    padded = np.eye(height, height + 2 * top, top).T @ x @ np.eye(width, width + 2 * left, left)
    n, o, y = x.shape[0], w.shape[0], 0
    for i, j, down, across in met_by_tap(windows.kernel, windows.out, windows.stride, windows.dilation):
        pixels = padded[:, :, down, across].reshape(n, groups, w.shape[1], math.prod(windows.out))
        y = y + w[:, :, i, j].reshape(groups, o // groups, w.shape[1]) @ pixels
    y = y.reshape(n, o, *windows.out)
    return y if b is None else y + b.reshape(-1, 1, 1)


@rule("y = Σ w[:, :, i, j]·(the x it meets) + b over the taps;  "
    "dx = Σ g·w[:, :, i, j] where it met x, dw[:, :, i, j] = Σ g·(the x it met), db = Σg", _conv2d_vjp,
    jvp=_conv2d_jvp, twin=_conv2d_twin, saves=(0, 1, CONSTANT), fresh=True, samples=cases(
        ((2, 2, 4, 4), (3, 2, 3, 3), (3,), {"padding": 1}), ((2, 3, 2, 2), (2, 3, 1, 1), None, {}),
        ((1, 2, 5, 6), (2, 2, 2, 3), None, {"stride": (2, 3), "padding": (0, 2)}),
        ((1, 4, 5, 5), (2, 2, 2, 2), (2,), {"dilation": (2, 1), "groups": 2, "stride": 2}),
        ((2, 3, 3, 3), (3, 1, 3, 3), (3,), {"padding": 1, "groups": 3})))
def conv2d(x, w, b, *, stride=1, padding=0, dilation=1, groups=1):
    how = _windows(x, w, b, stride, padding, dilation, groups).how | {"groups": groups}
    kernel, _, _, options = _kernels(x.shape[1], len(w), how)
    y = kernel(channels_last(x), w, b, **options)
    return y.transpose(0, 3, 1, 2), (x, w, how)


def _gradient_samples(rng, *, of_input):
    """The arrays that one of the gradients is computed from, in the samples of conv2d."""
    for (x, w, _), attrs in conv2d.samples(rng):
        y, (_, _, how) = conv2d.forward(x, w, None, **attrs)
        g, size = rng.normal(size=y.shape), x.shape[2:] if of_input else w.shape[2:]
        yield [g, w] if of_input else [x, g], how | {"size": size}


# The two gradients are bilinear too, and their own gradients are again among these three rules.
@rule("y = Σ g·w[:, :, i, j] where it met x;  dg = conv2d(v, w), dw[:, :, i, j] = Σ g·(the v it met), "
    "v the gradient in y",
    lambda v, saved, needs: (
        needs[0] and conv2d(v, saved[1], None, **saved[2]),
        needs[1] and conv2d_weight_grad(v, saved[0], size=saved[1].shape[2:], **saved[2])),
    jvp=lambda t, i, saved, out, **how: conv2d_input_grad(*((saved[0], t) if i else (t, saved[1])), **how),
    samples=lambda rng: list(_gradient_samples(rng, of_input=True)), saves=(0, 1, CONSTANT), fresh=True)
def conv2d_input_grad(g, w, *, size, **how):
    _, kernel, _, options = _kernels(w.shape[1] * how["groups"], len(w), how)
    dx = kernel(channels_last(g), w, size, **options)
    return dx.transpose(0, 3, 1, 2), (g, w, how)


@rule("y = Σ g·(the x it met), tap by tap;  dx = Σ g·v[:, :, i, j] where it met x, dg = conv2d(x, v), "
    "v the gradient in y",
    lambda v, saved, needs: (
        needs[0] and conv2d_input_grad(saved[1], v, size=saved[0].shape[2:], **saved[2]),
        needs[1] and conv2d(saved[0], v, None, **saved[2])),
    jvp=lambda t, i, saved, out, **how: conv2d_weight_grad(*((saved[0], t) if i else (t, saved[1])), **how),
    samples=lambda rng: list(_gradient_samples(rng, of_input=False)), saves=(0, 1, CONSTANT), fresh=True)
def conv2d_weight_grad(x, g, *, size, **how):
    _, _, kernel, options = _kernels(x.shape[1], g.shape[1], how)
    return kernel(channels_last(x), channels_last(g), size, **options), (x, g, how)
