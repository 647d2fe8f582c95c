"""conv2d_input_grad: the gradient of a convolution's images; forwards, the transposed convolution."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..geometry import both, met, pair
from .arguments import F32
from .conv2d import PANEL, pack_taps
from .convolution import Geometry, geometry, phases, struct, transposed
from .kernel import kernel
from .native import NULL, check, from_buffer, lib, pointer
from .operand import aligned


@kernel(g="f32[N,H',W',O] pixels", w="f32[O,C/groups,kH,kW]", out="f32[N,H,W,C] pixels")
def conv2d_input_grad(g: np.ndarray, w: np.ndarray, size: tuple[int, int], *,
                      stride: int | tuple[int, int] = 1, padding: int | tuple[int, int] = 0,
                      dilation: int | tuple[int, int] = 1, groups: int = 1) -> np.ndarray:
    """∂(Σ g·y)/∂x for y = conv2d(x, w, …): g (N, H', W', O), w (O, C/groups, kH, kW) → (N, H, W, C), float32.

        dx[n, h, w, c] = Σ g[n, i, j, o] · w[o, c, a, b] over the positions and taps that meet that pixel

    size: (H, W) of the images; pixels that a stride left out at the end get 0. It is the transpose of the
    linear map x → y, and so the forward pass of a transposed convolution of g (whose input channels are O).
    Each element is within γ_K · (|g| · |w|), K = kH·kW·O/groups. w must be finite.
    Raises TypeError for a wrong type or dtype, ValueError for a wrong shape or value.
    stride, padding, dilation, groups: those of conv2d.
    """
    (sh, sw), (ph, pw), (dh, dw) = both(stride), both(padding), both(dilation)
    size = both(size)
    o, c, kh, kw = w.shape
    n, rows, columns, _ = g.shape
    padded = np.zeros((n, size[0] + 2 * ph, size[1] + 2 * pw, groups * c), np.result_type(g, w))
    by_group = g.reshape(n * rows * columns, groups, o // groups).transpose(1, 0, 2)
    for a in range(kh):
        for b in range(kw):   # what each tap met gets g times that tap
            gradients = by_group @ w[:, :, a, b].reshape(groups, o // groups, c)
            gradients = gradients.transpose(1, 0, 2).reshape(n, rows, columns, groups * c)
            padded[:, met(a, rows, sh, dh), met(b, columns, sw, dw)] += gradients
    return padded[:, ph:ph + size[0], pw:pw + size[1]]


class _Plan(NamedTuple):
    geometry: Geometry
    shape: tuple[int, ...]
    shares_no_column: bool    # windows side by side share no pixel: see below
    phases: tuple[tuple, bool]


def _plan(g: tuple, w: tuple, size: Any, stride: Any, padding: Any, dilation: Any, groups: Any) -> _Plan:
    who = "conv2d_input_grad"
    size = pair(who, "size", size, 0)
    x = (g[0], *size, w[1] * groups if isinstance(groups, int) else w[1])
    at = transposed(who, g, geometry(who, x, w, stride, padding, dilation, groups))
    return _Plan(at, at.x, at.dilation[1] == 1 and 1 < at.w[3] <= at.stride[1], _phases(at))


def _run(choice: int, g: np.ndarray, w: np.ndarray, plan: _Plan, out: np.ndarray) -> None:
    at, apart = plan.geometry, plan.shares_no_column and _columns_are_apart(plan.geometry, out)
    # With padding the outermost windows are not whole, with groups a line is not dense: then the gradient of
    # the padded images of one group is made as patches, and copied.
    if plan.shares_no_column and not apart and at.padding[1] <= at.x[2] and at.groups <= at.w[1]:
        for i in range(at.groups):
            out[..., at.channels(i)] = _unpadded(at, g[..., at.filters(i)], w[at.filters(i)])
        return
    some, complete = _phases_of_lines(at) if apart else plan.phases
    if not complete:
        out[...] = 0
    (o, c, kh, kw), (sh, sw) = at.w, at.stride
    if apart:    # (1, kW·C, O, kH, 1)
        exchanged = np.ascontiguousarray(w.transpose(3, 1, 0, 2)).reshape(1, kw * c, o, kh, 1)
    else:        # (groups, O/groups, C/groups, kH, kW) → (groups, C/groups, O/groups, kH, kW)
        exchanged = w.reshape(at.groups, o // at.groups, c, kh, kw).swapaxes(1, 2)
    for i, j, taps, positions in some:
        dx = _lines(out[:, i::sh], at) if apart else out[:, i::sh, j::sw]
        _convolve(choice, g, exchanged, taps, positions, dx)


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


def _phases(at: Geometry) -> tuple[tuple, bool]:
    return phases(at.w[2:], at.x[1:3], at.stride, at.padding, at.dilation)


def _phases_of_lines(at: Geometry) -> tuple[tuple, bool]:
    """The phases of rows, and whether the lines of the windows are all pixels."""
    some, complete = phases((at.w[2], 1), (at.x[1], 1), (at.stride[0], 1), (at.padding[0], 0),
                            (at.dilation[0], 1))
    return some, complete and at.y[2] * at.w[3] == at.x[2]


def _lines(dx: np.ndarray, at: Geometry) -> np.ndarray:
    """Rows of images (N, H, W, C) as the lines of windows, (N, H, W', kW·C)."""
    image, row, pixel, number = dx.strides
    shape = *dx.shape[:2], at.y[2], at.w[3] * at.w[1]
    return as_strided(dx, shape, (image, row, at.stride[1] * pixel, number))


def _convolve(choice: int, g: np.ndarray, w: np.ndarray, taps: np.ndarray, positions: np.ndarray,
              dx: np.ndarray) -> None:
    """dx = the convolution, with stride 1, of g with these taps of w (groups, C/groups, O/groups, kH, kW),
    whose filters are its channels."""
    groups, c, o = w.shape[:3]
    panels = aligned((groups, -(-c // PANEL), len(taps), o, PANEL), F32, zeros=False)
    pack_taps(w, taps, panels)
    c_geometry, _keep = struct(g.shape, g.strides, dx.shape, dx.strides, (1, 1), groups, positions)
    status = lib.nn_conv2d(choice, c_geometry, pointer(g), from_buffer(panels), NULL, False, pointer(dx))
    if status:
        check("conv2d_input_grad", status)


conv2d_input_grad.runs(_run, plan=_plan)
