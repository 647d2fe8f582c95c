"""conv2d: the convolution of float32 images with filters, channels last."""

from functools import reduce
from operator import or_
from typing import Any

import numpy as np

from ..geometry import Pair
from .arguments import F32
from .contract import Plan, operand
from .convolution import geometry, grouped, pad, planned, taps, taps_of
from .kernel import kernel
from .native import ffi, from_buffer, lib, pointer
from .operand import PANEL, Operand, aligned, from_panels, in_panels


@kernel(x="f32[N,H,W,C] pixels", w=operand("f32[O,C/groups,kH,kW]"), bias="f32[O]?",
        out="f32[N,H',W',O] pixels")
def conv2d(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, *, stride: int | Pair = 1,
           padding: int | Pair = 0, dilation: int | Pair = 1, groups: int = 1, relu: bool = False
           ) -> np.ndarray:
    """The convolution of float32 images x (N, H, W, C) with filters w (O, C/groups, kH, kW) → (N, H', W', O).

        y[n, i, j, o] = bias[o] + Σ_{a, b, c} w[o, c, a, b] · x[n, i·sh + a·dh − ph, j·sw + b·dw − pw, c]

    c runs over the channels of o's group; zeros stand around the images and take part like other numbers.
    H' = ⌊(H + 2·ph − dh·(kH − 1) − 1)/sh⌋ + 1. relu: the result is max(y, 0). `pack` takes w and groups. x is
    read in place if its channels are adjacent. Each element is within γ_{K+1} · (|w|·|x| + |bias|) of the
    exact one, K = kH·kW·C/groups.
    """
    o, c, *kernel_size = w.shape
    y = np.zeros((), np.result_type(x, w))
    # Each tap is a product of matrices: the pixels that it meets, and its weights.
    for a, b, pixels in taps(pad(x, padding), kernel_size, stride, dilation):
        n, rows, columns, _ = pixels.shape
        pixels = pixels.reshape(n * rows * columns, groups, c).transpose(1, 0, 2)
        y = y + pixels @ w[:, :, a, b].reshape(groups, o // groups, c).mT
    y = y.transpose(1, 0, 2).reshape(n, rows, columns, o)
    if bias is not None:
        y += bias
    return np.maximum(y, 0) if relu else y


def _pack(w: np.ndarray, groups: int = 1) -> Operand:
    """Panels of 16 filters of a group: panels[g][p][a, b][c][f] = w[g·O/groups + 16p + f, c, a, b], or 0."""
    groups, (o, c, kh, kw) = grouped("conv2d.pack", w, groups), w.shape
    filters = o // groups
    panels = aligned((groups, -(-filters // PANEL), kh * kw, c, PANEL), F32)
    by_group = w.reshape(groups, filters, c, kh, kw)
    if lib is not None:
        finite = pack_taps(by_group, taps_of((kh, kw)), panels)
    else:
        by_tap = by_group.reshape(groups, filters, c, kh * kw).transpose(0, 3, 2, 1)
        panels[...] = in_panels(by_tap)[..., 0].swapaxes(1, 2)
        finite = bool(np.isfinite(w).all())
    return Operand(conv2d, w.shape, panels=panels, groups=groups, finite=finite)


def pack_taps(w: np.ndarray, taps: np.ndarray, panels: np.ndarray) -> bool:
    """Fill panels [groups][⌈O/16⌉][T][C][16] with the taps (T, 2) of w (groups, O, C, kH, kW), in C. Returns
    whether they are finite: padding times such filters is zero, and can be left out."""
    if not w.flags.aligned or reduce(or_, w.strides) % 4:
        w = w.copy()
    group, o, c, down, across = w.strides
    offsets = taps @ np.array([down // 4, across // 4], np.int64)
    return bool(lib.nn_conv2d_pack(*w.shape[:3], len(taps), pointer(w), group // 4, o // 4, c // 4,
                                   from_buffer(offsets), from_buffer(panels)))


def filters_for_c(panels: np.ndarray, finite: bool) -> Any:
    """Packed filters as C knows them. The caller keeps the panels alive."""
    return ffi.new("nn_conv2d_filters *", (from_buffer(panels), finite))


def _unpack(packed: Operand) -> np.ndarray:
    o, c, _, _ = packed.shape
    taps = packed.parts["panels"].swapaxes(1, 2)[..., None]
    w = from_panels(taps, c, o // packed.parts["groups"])  # (groups, taps, c, filters)
    return np.ascontiguousarray(w.transpose(0, 3, 2, 1)).reshape(packed.shape)


def _plan(who, x, w, stride, padding, dilation, groups, relu) -> Plan:
    return planned(who, geometry(who, x, w, stride, padding, dilation, groups), relu=relu)


conv2d.runs("nn_conv2d(plan.c, x, w.c, bias, relu, out)",
            unpacked="nn_conv2d_packing(plan.c, x, w, bias, relu, out)",
            plan=_plan, pack=_pack, unpack=_unpack,
            seen_by_c=lambda w: filters_for_c(w.parts["panels"], w.parts["finite"]))
