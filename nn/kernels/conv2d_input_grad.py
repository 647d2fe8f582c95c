"""conv2d_input_grad: the gradient of a convolution's images; forwards, the transposed convolution."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..geometry import Pair, pair
from .arguments import F32
from .conv2d import PANEL, pack_taps
from .convolution import Geometry, geometry, padded_zeros, phases, struct, taps, transposed
from .kernel import kernel
from .native import NULL, check, from_buffer, lib, pointer
from .operand import aligned


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
    padded, dx = padded_zeros(len(g), size, groups * c, padding, np.result_type(g, w))
    by_group = g.reshape(prod(g.shape[:3]), groups, o // groups).transpose(1, 0, 2)
    for a, b, pixels in taps(padded, kernel_size, stride, dilation):   # what it met gets g times the tap
        gradients = by_group @ w[:, :, a, b].reshape(groups, o // groups, c)
        pixels += gradients.transpose(1, 0, 2).reshape(pixels.shape)
    return dx


class _Plan(NamedTuple):
    geometry: Geometry
    shape: tuple[int, ...]
    shares_no_column: bool    # windows side by side share no pixel: see below
    phases: tuple[tuple, bool]


def _plan(who, g, w, size, stride, padding, dilation, groups) -> _Plan:
    size = pair(who, "size", size, 0)
    x = (g[0], *size, w[1] * groups if isinstance(groups, int) else w[1])
    at = transposed(who, g, geometry(who, x, w, stride, padding, dilation, groups))
    return _Plan(at, at.x, at.dilation[1] == 1 and 1 < at.w[3] <= at.stride[1],
                 phases(at.w[2:], at.x[1:3], at.stride, at.padding, at.dilation))


def _run(choice: int, g: np.ndarray, w: np.ndarray, plan: _Plan, out: np.ndarray) -> None:
    at, apart = plan.geometry, plan.shares_no_column and _columns_are_apart(plan.geometry, out)
    # With padding the outermost windows are not whole, with groups a line is not dense: then the gradient of
    # the padded images of one group is made as patches, and copied.
    if plan.shares_no_column and not apart and at.padding[1] <= at.x[2] and at.groups <= at.w[1]:
        for i in range(at.groups):
            out[..., at.channels(i)] = _unpadded(at, g[..., at.filters(i)], w[at.filters(i)])
        return
    (o, c, kh, kw), (sh, sw) = at.w, at.stride
    some, complete = plan.phases
    if apart:    # the phases of rows; filters (1, kW·C, O, kH, 1)
        some, complete = phases((kh, 1), (at.x[1], 1), (sh, 1), (at.padding[0], 0), (at.dilation[0], 1))
        complete = complete and at.y[2] * kw == at.x[2]    # the lines of the windows are all pixels
        exchanged = np.ascontiguousarray(w.transpose(3, 1, 0, 2)).reshape(1, kw * c, o, kh, 1)
    else:        # (groups, O/groups, C/groups, kH, kW) → (groups, C/groups, O/groups, kH, kW)
        exchanged = w.reshape(at.groups, o // at.groups, c, kh, kw).swapaxes(1, 2)
    if not complete:
        out[...] = 0
    for i, j, which, positions in some:
        dx = _lines(out[:, i::sh], at) if apart else out[:, i::sh, j::sw]
        _convolve(choice, g, exchanged, which, positions, dx)


# Patches: where windows side by side share no pixel, a position alone makes the kW·C numbers of each line of
# its window, and they lie side by side: columns of one product. (As kW phases they would be kW products of C
# columns each, in tiles of 16 or more.)

def _columns_are_apart(at: Geometry, out: np.ndarray) -> bool:
    """Whether every line of a window lies in the image, and without gaps."""
    adjacent = not out.size or out.strides[2:] == (4 * at.w[1], 4)
    return adjacent and not at.padding[1] and at.groups == 1


def _unpadded(at: Geometry, g: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The gradient of one group's images, cut out of that of images that are as wide as their padding."""
    height, width = at.x[1:3]
    p = at.padding[1]
    wide = conv2d_input_grad(g, w, (height, width + 2 * p), stride=at.stride, padding=(at.padding[0], 0),
                             dilation=at.dilation)
    return wide[:, :, p:p + width]


def _lines(dx: np.ndarray, at: Geometry) -> np.ndarray:
    """Rows of images (N, H, W, C) as the lines of windows, (N, H, W', kW·C)."""
    image, row, pixel, number = dx.strides
    shape = *dx.shape[:2], at.y[2], at.w[3] * at.w[1]
    return as_strided(dx, shape, (image, row, at.stride[1] * pixel, number))


def _convolve(choice: int, g: np.ndarray, w: np.ndarray, which: np.ndarray, positions: np.ndarray,
              dx: np.ndarray) -> None:
    """dx = the convolution, with stride 1, of g with some taps of w (groups, C/groups, O/groups, kH, kW),
    whose filters are its channels."""
    groups, c, o = w.shape[:3]
    panels = aligned((groups, -(-c // PANEL), len(which), o, PANEL), F32, zeros=False)
    pack_taps(w, which, panels)
    c_geometry, _keep = struct(g.shape, g.strides, dx.shape, dx.strides, (1, 1), groups, positions)
    check("conv2d_input_grad",
          lib.nn_conv2d(choice, c_geometry, pointer(g), from_buffer(panels), NULL, False, pointer(dx)))


conv2d_input_grad.runs(_run, plan=_plan)
