"""conv2d_input_grad, conv2d_weight_grad: the gradients of a convolution's images and of its filters."""

from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..geometry import LARGEST, Pair, both, pair
from .arguments import F32, integer
from .contract import Plan
from .conv2d import filters_for_c, pack_taps
from .convolution import geometry, pad, padded, part, phases, planned, struct, taps
from .kernel import kernel
from .native import NULL, check, lib, pointer
from .operand import PANEL, aligned


@kernel(g="f32[N,H',W',O] pixels", w="f32[O,C/groups,kH,kW]", out="f32[N,H,W,C] pixels")
def conv2d_input_grad(g: np.ndarray, w: np.ndarray, size: Pair, *, stride: int | Pair = 1,
                      padding: int | Pair = 0, dilation: int | Pair = 1, groups: int = 1) -> np.ndarray:
    """∂(Σ g·y)/∂x for y = conv2d(x, w, …): g (N, H', W', O), w (O, C/groups, kH, kW) → (N, H, W, C), float32.

        dx[n, h, w, c] = Σ g[n, i, j, o] · w[o, c, a, b] over the positions and taps that meet that pixel

    size: (H, W) of the images; pixels that a stride left out at the end get 0. It is the transpose of the
    linear map x → y, and so the forward pass of a transposed convolution of g (whose input channels are O).
    Each element is within γ_K · (|g| · |w|), K = kH·kW·O/groups. w must be finite.
    """
    o, c, *kernel_size = w.shape
    whole, dx = padded((len(g), *both(size), groups * c), padding, np.result_type(g, w))
    by_group = g.reshape(prod(g.shape[:3]), groups, o // groups).transpose(1, 0, 2)
    for a, b, pixels in taps(whole, kernel_size, stride, dilation):  # what it met gets g times the tap
        gradients = by_group @ w[:, :, a, b].reshape(groups, o // groups, c)
        pixels += gradients.transpose(1, 0, 2).reshape(pixels.shape)
    return dx


def _input_plan(who, g, w, size, stride, padding, dilation, groups) -> Plan:
    groups = integer(who, "groups", groups, 1, LARGEST)
    x = (g[0], *pair(who, "size", size, 0), w[1] * groups)
    return Plan(x, geometry=geometry(who, x, w, stride, padding, dilation, groups, g))


def _run(choice, g, w, plan, out) -> None:
    # Patches: where windows side by side share no pixel, a position alone makes the kW·C numbers of each line
    # of its window, and they lie side by side: columns of one product. (As kW phases they would be kW
    # products of C columns each, in tiles of 16 or more.) That needs every line of a window in the image,
    # without gaps. With padding the outermost windows are not whole, with groups a line is not dense: then
    # the gradient of the padded images of one group is made so, and copied.
    at = plan.geometry
    (o, c, kh, kw), (sh, sw), (ph, pw), (_, height, width, _) = at.w, at.stride, at.padding, at.x
    shares_no_column = at.dilation[1] == 1 and 1 < kw <= sw
    apart = shares_no_column and not pw and at.groups == 1 and (
        not out.size or out.strides[2:] == (4 * c, 4))
    if shares_no_column and not apart and pw <= width and at.groups <= c:
        for i in range(at.groups):
            some = part(i, o // at.groups)
            wide = conv2d_input_grad(g[..., some], w[some], (height, width + 2 * pw), stride=at.stride,
                                     padding=(ph, 0), dilation=at.dilation)
            out[..., part(i, c)] = wide[:, :, pw:pw + width]
        return
    if apart:  # the phases of rows; filters (1, kW·C, O, kH, 1)
        some, complete = phases((kh, 1), (height, 1), (sh, 1), (ph, 0), (at.dilation[0], 1))
        complete = complete and at.y[2] * kw == width  # the lines of the windows are all pixels
        exchanged = np.ascontiguousarray(w.transpose(3, 1, 0, 2)).reshape(1, kw * c, o, kh, 1)
    else:        # (groups, O/groups, C/groups, kH, kW) → (groups, C/groups, O/groups, kH, kW)
        some, complete = phases(at.w[2:], at.x[1:3], at.stride, at.padding, at.dilation)
        exchanged = w.reshape(at.groups, o // at.groups, c, kh, kw).swapaxes(1, 2)
    if not complete:
        out[...] = 0
    groups, filters, channels = exchanged.shape[:3]
    for i, j, which, positions in some:  # dx = the convolution, with stride 1, of g with these taps
        dx = out[:, i::sh, j::sw]
        if apart:  # rows of images (N, H, W, C) as the lines of windows, (N, H, W', kW·C)
            rows = out[:, i::sh]
            image, row, pixel, number = rows.strides
            dx = as_strided(rows, (*rows.shape[:2], at.y[2], kw * c), (image, row, sw * pixel, number))
        panels = aligned((groups, -(-filters // PANEL), len(which), channels, PANEL), F32)
        packed = filters_for_c(panels, pack_taps(exchanged, which, panels))
        c_geometry, _keep = struct(g.shape, g.strides, dx.shape, dx.strides, (1, 1), groups, positions)
        check("conv2d_input_grad",
              lib.nn_conv2d(choice, c_geometry, pointer(g), packed, NULL, False, pointer(dx)))


conv2d_input_grad.runs(_run, plan=_input_plan)


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


def _weight_plan(who, x, g, kernel_size, stride, padding, dilation, groups) -> Plan:
    groups = integer(who, "groups", groups, 1, LARGEST)
    w = (g[3], x[3] // groups, *pair(who, "kernel_size", kernel_size, 1))
    return planned(who, geometry(who, x, w, stride, padding, dilation, groups, g), w)


conv2d_weight_grad.runs("nn_conv2d_weight_grad(plan.c, x, g, out)", plan=_weight_plan)
