"""conv2d: the convolution of float32 images with filters, channels last."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import empty, ndarray

from .arguments import F32, READABLE, WRITABLE, array, integer, output, room, usual
from .convolution import LARGEST, both, geometry, met, pad, positions, readable
from .convolution_plan import Plan
from .kernel import kernel
from .native import NUMPY, check, ffi, from_buffer, lib, pointer
from .packed import Packed, aligned, packed_elsewhere

PANEL = 16   # filters that lie together, tap by tap and channel by channel, when packed


@kernel
def conv2d(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, *, stride: int | tuple[int, int] = 1,
           padding: int | tuple[int, int] = 0, dilation: int | tuple[int, int] = 1, groups: int = 1,
           relu: bool = False) -> np.ndarray:
    """The convolution of float32 images x (N, H, W, C) with filters w (O, C/groups, kH, kW) → (N, H', W', O).

        y[n, i, j, o] = bias[o] + Σ_{a, b, c} w[o, c, a, b] · x[n, i·sh + a·dh − ph, j·sw + b·dw − pw, c]

    c runs over the channels of o's group; zeros stand around the images and take part like other numbers.
    H' = ⌊(H + 2·ph − dh·(kH − 1) − 1)/sh⌋ + 1. stride, padding, dilation: integers or pairs (vertical,
    horizontal). bias: float32 (O,). relu: the result is max(y, 0). w may be `conv2d.pack(w, groups)`.
    `out` takes the result: float32, channels adjacent, sharing no memory with an input. x is read in place if
    its channels are adjacent. Each element is within γ_{K+1} · (|w|·|x| + |bias|), K = kH·kW·C/groups.
    Raises TypeError for a wrong type or dtype, ValueError for a wrong shape or value.
    """
    (sh, sw), (ph, pw), (dh, dw) = both(stride), both(padding), both(dilation)
    o, c, kh, kw = w.shape
    padded = pad(x, (ph, pw))
    rows, columns = positions(x.shape[1], kh, sh, ph, dh), positions(x.shape[2], kw, sw, pw, dw)
    count = len(x) * rows * columns
    y = np.zeros((groups, count, o // groups), np.result_type(x, w))
    for a in range(kh):
        for b in range(kw):   # each tap is a product of matrices: the pixels that it meets, and its weights
            pixels = padded[:, met(a, rows, sh, dh), met(b, columns, sw, dw)]
            pixels = pixels.reshape(count, groups, c).transpose(1, 0, 2)
            y += pixels @ w[:, :, a, b].reshape(groups, o // groups, c).mT
    y = y.transpose(1, 0, 2).reshape(len(x), rows, columns, o)
    if bias is not None:
        y += bias
    return np.maximum(y, 0) if relu else y


def _pack(w: np.ndarray, groups: int = 1) -> Packed:
    """Panels of 16 filters of a group: panels[g][p][a, b][c][f] = w[g·O/groups + 16p + f, c, a, b], or 0."""
    w = array("conv2d.pack", "w", w, 4, F32)
    groups = integer("conv2d.pack", "groups", groups, 1, LARGEST)
    o, c, kh, kw = w.shape
    if o % groups:
        raise ValueError(f"conv2d.pack: w must have a multiple of groups={groups} filters, got {o}")
    filters = o // groups
    panels = aligned((groups, -(-filters // PANEL), kh * kw, c, PANEL), F32)
    if lib is not None:
        by_group = w.reshape(groups, filters, c, kh, kw)
        pack_taps(by_group, np.indices((kh, kw), np.int64).reshape(2, -1).T, panels)
    else:
        taps = w.reshape(groups, filters, c, kh * kw).transpose(0, 3, 2, 1)
        for p in range(panels.shape[1]):
            some = taps[..., PANEL * p:PANEL * (p + 1)]
            panels[:, p, ..., :some.shape[-1]] = some
    return Packed(conv2d, (o, c * groups, kh, kw), panels=panels, groups=groups)


def pack_taps(w: np.ndarray, taps: np.ndarray, panels: np.ndarray) -> None:
    """Fill panels [groups][ceil(O/16)][taps][C][16] with these taps (T, 2) of w (groups, O, C, kH, kW), in C.
    """
    if not w.flags.aligned or any(s % 4 for s in w.strides):
        w = w.copy()
    group, o, c, down, across = (s // 4 for s in w.strides)
    offsets = taps @ np.array([down, across], np.int64)
    lib.nn_conv2d_pack(*w.shape[:3], len(taps), pointer(w), group, o, c, from_buffer(offsets),
                       from_buffer(panels))


def _unpack(packed: Packed) -> np.ndarray:
    o, _, kh, kw = packed.shape
    panels = packed.parts["panels"]
    groups, width, taps, c, _ = panels.shape
    w = panels.transpose(0, 1, 4, 3, 2).reshape(groups, width * PANEL, c, taps)[:, :o // groups]
    return np.ascontiguousarray(w.reshape(o, c, kh, kw))


def _call(x: np.ndarray, w: np.ndarray | Packed, bias: np.ndarray | None = None, *,
          stride: int | tuple[int, int] = 1, padding: int | tuple[int, int] = 0,
          dilation: int | tuple[int, int] = 1, groups: int = 1, relu: bool = False,
          out: np.ndarray | None = None) -> np.ndarray:
    if type(x) is not ndarray or x.dtype is not F32 or x.ndim != 4:
        x = array("conv2d", "x", x, 4, F32)
    packed = type(w) is Packed
    if not packed:
        w = array("conv2d", "w", w, 4, F32)
        plan = None
    elif w.kernel is not conv2d:
        raise packed_elsewhere("conv2d", "w", w)
    else:
        plan = w.pinned
    asked = (x.shape, stride, padding, dilation, groups)
    if plan is None or plan.asked != asked:
        filters = _shape_of(w, groups) if packed else w.shape
        plan = Plan("conv2d", asked, geometry("conv2d", x.shape, filters, *asked[1:]))
        if packed:
            w.pinned = plan
    bias, b = (None, None) if bias is None else plan.checked(bias)
    if relu is not True and relu is not False:
        raise TypeError(f"conv2d: relu must be True or False, got {type(relu).__name__}")
    shape, choice = plan.geometry.y, conv2d.choice
    ready = x.flags.num & READABLE == READABLE   # C can take it as it lies, and the result too
    if out is None:
        try:
            result = empty(shape, F32)
        except (MemoryError, ValueError):   # says what has no room; asking it at once would cost 0.1 µs
            result = room("conv2d", shape)
    elif ready and packed and choice != NUMPY and usual(out, shape, F32):
        result = out
    else:
        result = output("conv2d", out, shape, F32, x, w, bias)
        ready = ready and result.flags.num & WRITABLE == WRITABLE

    if choice == NUMPY:
        at = plan.geometry
        result[...] = conv2d.reference(x, w.unpack() if packed else w, bias, stride=at.stride,
                                       padding=at.padding, dilation=at.dilation, groups=at.groups, relu=relu)
        return result if out is None else out
    if not packed:
        w = _pack(w, plan.geometry.groups)
    if w.plan is None:
        w.plan = from_buffer(w.parts["panels"])
    if ready:
        c, from_x, to = plan.c, from_buffer(x), from_buffer(result)
    else:
        x = readable(x)
        (c, _keep), from_x, to = plan.between(x.strides, result.strides), pointer(x), pointer(result)
    status = lib.nn_conv2d(choice, c, from_x, w.plan, b or ffi.NULL, relu, to)
    if status:
        check("conv2d", status)
    return result if out is None else out


def _shape_of(w: Packed, groups: Any) -> tuple[int, int, int, int]:
    """The shape of the filters that were packed, for a call with so many groups."""
    if groups != w.parts["groups"]:
        raise ValueError(f"conv2d: groups must be {w.parts['groups']}, as w was packed, got {groups}")
    o, _, kh, kw = w.shape
    return o, w.parts["panels"].shape[3], kh, kw


def _repack(w: Any, shape: tuple[int, ...]) -> Packed:
    return _pack(w, shape[1] // w.shape[1] if w.shape[1] else 1)


conv2d.bind(_call, _pack, _unpack, _repack)
