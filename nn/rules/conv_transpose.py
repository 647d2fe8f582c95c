"""Transposed convolution: what backward does to the input of a convolution, as a layer that enlarges images.

Zeiler, Krishnan, Taylor & Fergus, "Deconvolutional networks" (2010). ⟨conv(y, w), x⟩ = ⟨y, convᵀ(x, w)⟩:
here x plays the gradient and y the image, so forward is the kernel of that gradient, and backward is the
convolution itself.
"""

import numpy as np

from .. import kernels
from ..geometry import pair
from ..kernels import channels_last
from .linear import column_sums
from .record import Rule
from .windows import Windows


def _geometry(x, w, b, stride, padding, output_padding, groups, dilation):
    """Check that everything fits, and lay out the windows of the *output*: one for each pixel of x."""
    if isinstance(groups, bool) or not isinstance(groups, (int, np.integer)) or groups < 1:
        raise ValueError(f"conv_transpose2d: groups is {groups!r}, wanted an int of at least 1")
    if w.ndim != 4 or x.ndim != 4 or x.shape[1] != len(w) or len(w) % groups:
        raise ValueError(f"conv_transpose2d: x of shape {x.shape} does not fit a weight of shape {w.shape} "
                         f"in {groups} group(s); wanted (N, C, H, W) and (C, O/groups, kH, kW), C a "
                         "multiple of groups")
    o = w.shape[1] * groups
    if b is not None and b.shape != (o,):
        raise ValueError(f"conv_transpose2d: the bias has shape {b.shape}, wanted {(o,)} "
                         f"for a weight of shape {w.shape} in {groups} group(s)")
    stride = pair("conv_transpose2d", "stride", stride, 1)
    padding = pair("conv_transpose2d", "padding", padding, 0)
    dilation = pair("conv_transpose2d", "dilation", dilation, 1)
    more = pair("conv_transpose2d", "output_padding", output_padding, 0)
    if any(m >= max(s, d) for m, s, d in zip(more, stride, dilation, strict=True)):
        raise ValueError(f"conv_transpose2d: output_padding {more} must be smaller than the stride {stride} "
                         f"or the dilation {dilation}")
    size = [(n - 1) * s - 2 * p + d * (k - 1) + m + 1 for n, s, p, d, k, m in
            zip(x.shape[2:], stride, padding, dilation, w.shape[2:], more, strict=True)]
    if min(*size, *x.shape[2:]) < 1:
        raise ValueError(f"conv_transpose2d: an input of shape {x.shape} with padding {padding} gives an "
                         f"image of {size[0]}×{size[1]}")
    return Windows("conv_transpose2d", (len(x), o, *size), w.shape[2:], stride, padding, dilation)


def _conv_transpose2d(x, w, b, *, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    windows = _geometry(x, w, b, stride, padding, output_padding, groups, dilation)
    how = {name: getattr(windows, name) for name in ("stride", "padding", "dilation")} | {"groups": groups}
    pixels = _positions(x, windows)
    y = kernels.conv2d_input_grad(pixels, w, windows.image[1:3], **how)
    if b is not None:
        y += b
    return y.transpose(0, 3, 1, 2), (x, w, pixels, how)


def _positions(x, windows):
    """The pixels of x, (N, H, W, C), as positions of the convolution. Where output_padding leaves room for
    more (a dilation larger than the stride allows it), zeros follow."""
    more = [out - n for out, n in zip(windows.out, x.shape[2:], strict=True)]
    pixels = channels_last(x)
    return np.pad(pixels, ((0, 0), (0, more[0]), (0, more[1]), (0, 0))) if any(more) else pixels


def _conv_transpose2d_vjp(g, saved, needs):
    x, w, pixels, how = saved
    g = channels_last(g)
    dx = dw = db = None
    if needs[0]:
        dx = kernels.conv2d(g, w, **how)[:, :x.shape[2], :x.shape[3]].transpose(0, 3, 1, 2)
    if needs[1]:
        dw = kernels.conv2d_weight_grad(g, pixels, w.shape[2:], **how)
    if needs[2]:
        db = column_sums(g.reshape(-1, g.shape[3]))
    return dx, dw, db


def _conv_transpose2d_jvp(t, i, saved, out, **attrs):
    """y is linear in x, and in w, and in b."""
    if i == 2:
        return t.reshape(-1, 1, 1)
    x, w, *_ = saved
    return _conv_transpose2d(*((x, t) if i else (t, w)), None, **attrs)[0]


def _conv_transpose2d_twin(x, w, b, *, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Tap by tap: a matrix of zeros and ones carries each row of pixels to where the tap (i, j) puts it."""
    windows = _geometry(x, w, b, stride, padding, output_padding, groups, dilation)
    (_, height, width, o), (h, across) = windows.image, x.shape[2:]

    def carried(axis, tap, size, n):
        to = windows.stride[axis] * np.arange(n) + windows.dilation[axis] * tap - windows.padding[axis]
        return (np.arange(size)[:, None] == to).astype(x.dtype)

    y = 0
    for i in range(w.shape[2]):
        for j in range(w.shape[3]):
            filters = w[:, :, i, j].reshape(groups, len(w) // groups, -1).mT
            met = filters @ x.reshape(len(x), groups, len(w) // groups, h * across)
            met = met.reshape(len(x), o, h, across)
            y = y + carried(0, i, height, h) @ met @ carried(1, j, width, across).T
    return y if b is None else y + b.reshape(-1, 1, 1)


def _samples(rng):
    cases = (   # x, w, O, how
        ((2, 2, 3, 3), (2, 3, 3, 3), 3, {"padding": 1}),
        ((1, 2, 3, 2), (2, 2, 2, 3), None, {"stride": (2, 3), "padding": (0, 2), "output_padding": (1, 2)}),
        ((1, 4, 2, 3), (4, 1, 2, 2), 2,
         {"dilation": (3, 1), "groups": 2, "stride": 2, "output_padding": (2, 0)}),
        ((2, 3, 2, 2), (3, 2, 1, 1), None, {}))
    return [([rng.normal(size=x), rng.normal(size=w), o and rng.normal(size=o)], how)
            for x, w, o, how in cases]


conv_transpose2d = Rule(
    "conv_transpose2d", "y = Σ x·w[:, :, i, j] where the tap puts it + b;  "
    "dx = Σ w[:, :, i, j]·(the g it met), dw[:, :, i, j] = Σ x·(the g it met), db = Σg",
    _conv_transpose2d, _conv_transpose2d_vjp, jvp=_conv_transpose2d_jvp, twin=_conv_transpose2d_twin,
    samples=_samples)
