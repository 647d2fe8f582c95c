"""Transposed convolution: what backward does to the input of a convolution, as a layer that enlarges images.

Zeiler, Krishnan, Taylor & Fergus, "Deconvolutional networks" (2010). ⟨conv(y, w), x⟩ = ⟨y, convᵀ(x, w)⟩: x is
the gradient here and y the image, so forward is the kernel of that gradient and backward the convolution.
"""

from ..geometry import Windows, pair
from .conv import channel_sums, conv2d, conv2d_input_grad, conv2d_weight_grad, filters_fit, turned_once
from .record import CONSTANT, rule
from .samples import cases
from .shapes import pad


def _windows(x, w, b, stride, padding, output_padding, groups, dilation):
    """The windows of the *output*, one for each pixel of x, once all is found to fit."""
    op, pixels = "conv_transpose2d", x.shape[2:]
    filters_fit(op, x, w, b, groups, transposed=True)
    stride, dilation = pair(op, "stride", stride, 1), pair(op, "dilation", dilation, 1)
    padding, more = pair(op, "padding", padding, 0), pair(op, "output_padding", output_padding, 0)
    if any(m >= max(s, d) for m, s, d in zip(more, stride, dilation, strict=True)):
        raise ValueError(f"{op}: output_padding {more} must be smaller than the stride {stride} or the "
                         f"dilation {dilation}")
    size = [(n - 1) * s - 2 * p + d * (k - 1) + m + 1 for n, s, p, d, k, m in
            zip(pixels, stride, padding, dilation, w.shape[2:], more, strict=True)]
    if min(*size, *pixels) < 1:
        raise ValueError(f"{op}: an input of shape {x.shape} with padding {padding} gives an image of "
                         f"{size[0]}×{size[1]}")
    return Windows(op, (len(x), w.shape[1] * groups, *size), w.shape[2:], stride, padding, dilation)


def _enlarged(x, more):
    """x with zeros behind it, where the convolution has more positions than x has pixels. (It can, by
    output_padding, if the dilation is larger than the stride.)"""
    return pad(x, widths=((0, 0), (0, 0), (0, more[0]), (0, more[1]))) if any(more) else x


def _conv_transpose2d_vjp(g, saved, needs):
    x, w, how, more = saved
    g = turned_once(g)
    return (needs[0] and conv2d(g, w, None, **how)[:, :, :x.shape[2], :x.shape[3]],
            needs[1] and conv2d_weight_grad(g, _enlarged(x, more), size=w.shape[2:], **how),
            needs[2] and channel_sums(g))


@rule("y = Σ x·w[:, :, i, j] where the tap puts it + b;  "
    "dx = Σ w[:, :, i, j]·(the g it met), dw[:, :, i, j] = Σ x·(the g it met), db = Σg",
    _conv_transpose2d_vjp, saves=(0, 1, CONSTANT, CONSTANT), samples=cases(
        ((2, 2, 3, 3), (2, 3, 3, 3), (3,), {"padding": 1}),
        ((1, 2, 3, 2), (2, 2, 2, 3), None, {"stride": (2, 3), "padding": (0, 2), "output_padding": (1, 2)}),
        ((1, 4, 2, 3), (4, 1, 2, 2), (2,),
         {"dilation": (3, 1), "groups": 2, "stride": 2, "output_padding": (2, 0)}),
        ((2, 3, 2, 2), (3, 2, 1, 1), None, {})))
def conv_transpose2d(x, w, b, *, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    windows = _windows(x, w, b, stride, padding, output_padding, groups, dilation)
    how = windows.how | {"groups": groups}
    more = [out - n for out, n in zip(windows.out, x.shape[2:], strict=True)]
    y = conv2d_input_grad(_enlarged(x, more), w, size=windows.size, **how)
    return y if b is None else y + b[:, None, None], (x, w, how, more)
