"""The geometry of a convolution: which pixels each position of the result meets.

Images are (N, H, W, C), filters (O, C/groups, kH, kW). Position (i, j) of the result and tap (a, b) of a
filter meet the pixel (i·sh + a·dh − ph, j·sw + b·dw − pw), or a zero of the padding.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate
from math import prod
from operator import mul
from typing import Any, NamedTuple

import numpy as np

from ..geometry import LARGEST, Pair, Windows, both, met_by_tap, positions
from .arguments import CONTIGUOUS, F32, READABLE, integer, no_room
from .contract import Plan
from .native import BEST, ffi, from_buffer, lib

MOST = 2**61          # numbers of a result: beyond, C could not count its bytes


class Geometry(NamedTuple):
    """The numbers of one convolution, checked."""

    x: tuple[int, int, int, int]      # (N, H, W, C)
    w: tuple[int, int, int, int]      # (O, C/groups, kH, kW)
    y: tuple[int, int, int, int]      # (N, H', W', O)
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int


def part(group: int, size: int) -> slice:
    """The channels, or the filters, of one of the groups that have so many each."""
    return slice(group * size, (group + 1) * size)


def padded(shape: tuple, padding: int | Pair, dtype: Any, fill: float = 0) -> tuple[np.ndarray, np.ndarray]:
    """`fill` in the shape of padded images, and the view of it that is the images', of this shape."""
    (top, left), (n, h, w, c) = both(padding), shape
    try:
        whole = np.empty((n, h + 2 * top, w + 2 * left, c), dtype)
    except (MemoryError, ValueError):  # larger than the memory, or than an array can be
        what = f"images of shape {shape} with the padding {(top, left)}"
        raise MemoryError(f"no memory for {what}") from None
    whole[...] = fill
    return whole, whole[:, top:top + h, left:left + w]


def pad(x: np.ndarray, padding: int | Pair, fill: float = 0) -> np.ndarray:
    """Images with `fill` around them, as the specifications read them; MemoryError where there is no room."""
    if not (any(padding) if isinstance(padding, (tuple, list)) else padding):
        return x
    whole, images = padded(x.shape, padding, x.dtype, fill)
    images[...] = x
    return whole


def taps(images: np.ndarray, kernel_size: int | Pair, stride: int | Pair, dilation: int | Pair = 1
         ) -> list[tuple[int, int, np.ndarray]]:
    """For each tap (a, b) of a window, in reading order: a, b, and a view (N, H', W', C) of the pixels of
    padded images that all positions meet there. The specifications read it, their gradients add to it."""
    kernel_size, stride, dilation = both(kernel_size), both(stride), both(dilation)
    counts = tuple(map(positions, images.shape[1:3], kernel_size, stride, (0, 0), dilation))
    met = met_by_tap(kernel_size, counts, stride, dilation)
    return [(a, b, images[:, rows, columns]) for a, b, rows, columns in met]


def geometry(kernel: str, x: tuple, w: tuple, stride: Any, padding: Any, dilation: Any, groups: Any,
             g: tuple | None = None) -> Geometry:
    """The geometry of images of shape x and filters of shape w, with a gradient of the result of shape g if
    there is one, or an error that says what does not fit."""
    groups = integer(kernel, "groups", groups, 1, LARGEST)
    if min(w[2:]) < 1:
        raise ValueError(f"{kernel}: w must have filters of at least one tap, got shape {w}")
    windows = Windows(kernel, x, w[2:], stride, padding, dilation, x[1:3], w)
    if x[3] != w[1] * groups:
        raise ValueError(f"{kernel}: x of shape {x} must have {w[1] * groups} channels, as w of shape {w} "
                         f"with groups={groups} takes")
    if w[0] % groups:
        raise ValueError(f"{kernel}: w of shape {w} must have a multiple of groups={groups} filters")
    y = x[0], *windows.out, w[0]
    if prod(filter(None, y)) >= MOST:
        raise no_room(kernel, y)
    if g not in (None, y):
        raise ValueError(f"{kernel}: g must have shape {y}, that of the convolution of images of shape {x}, "
                         f"got {g}")
    return Geometry(x, w, y, windows.stride, windows.padding, windows.dilation, groups)


def grouped(who: str, w: np.ndarray, groups: Any) -> int:
    """How many groups the filters w are packed in, found to divide them."""
    groups = integer(who, "groups", groups, 1, LARGEST)
    if len(w) % groups:
        raise ValueError(f"{who}: w must have a multiple of groups={groups} filters, got {len(w)}")
    return groups


@lru_cache(maxsize=256)
def phases(kernel_size: Pair, size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> tuple[tuple, bool]:
    """What a gradient of the images is made of: the pixels (i + k·sh, j + l·sw), one phase of the stride, all
    meet the same taps, each at the position k, l behind the one that (i, j) meets.

    Returns the phases that meet any, as (i, j, taps (T, 2), positions (T, 2) that (i, j) meets at them), and
    whether these are all pixels. (Of a stride beyond the kernel most phases meet nothing, and there are
    sh·sw of them.)
    """
    down, across = map(_phases, kernel_size, size, stride, padding, dilation)
    some = tuple((i, j, *(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
                          for axes in zip(rows, columns, strict=True)))
                 for i, rows in down.items() for j, columns in across.items())
    return some, len(some) == min(stride[0], size[0]) * min(stride[1], size[1])


def _phases(kernel: int, size: int, stride: int, padding: int, dilation: int) -> dict[int, np.ndarray]:
    """The same along one axis: first pixel → (taps, positions)."""
    taps = np.arange(kernel, dtype=np.int64)
    firsts = (taps * dilation - padding) % stride
    positions = (firsts + padding - taps * dilation) // stride
    return {first: np.stack([taps, positions])[:, firsts == first] for first in set(firsts.tolist())
            if first < size}


def struct(x: tuple, x_strides: tuple, y: tuple, y_strides: tuple, stride: Pair, groups: int,
           offsets: np.ndarray) -> tuple[Any, tuple]:
    """What C knows of a convolution from images to positions of these shapes and strides (in bytes, channels
    adjacent), and what must stay alive with it."""
    offsets = np.ascontiguousarray(offsets, np.int64)
    at = from_buffer(offsets)
    (image, row, pixel, _), (out_image, out_row, out_pixel, _) = x_strides, y_strides
    numbers = (*x, image // 4, row // 4, pixel // 4, *y[1:], out_image // 4, out_row // 4, out_pixel // 4,
               *stride, groups, len(offsets), at)
    return ffi.new("nn_conv2d_geometry *", numbers), (at, offsets)


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides, in bytes, of a contiguous float32 array."""
    return tuple(accumulate(shape[:0:-1], mul, initial=4))[::-1]


def planned(kernel: str, at: Geometry, shape: tuple[int, ...] | None = None, relu: Any = False) -> Plan:
    """The plan of a convolution, or of a call with its geometry whose result has another shape."""
    if not isinstance(relu, bool):
        raise TypeError(f"{kernel}: relu must be True or False, got {type(relu).__name__}")
    try:  # offsets: for each tap the place of its pixel, for the position (0, 0)
        offsets = taps_of(at.w[2:]) * np.array(at.dilation) - np.array(at.padding)
        made = ffi and struct(at.x, contiguous(at.x), at.y, contiguous(at.y), at.stride, at.groups, offsets)
    except (MemoryError, ValueError) as error:  # of more taps than there is memory for
        raise no_room(kernel, shape or at.y, error) from None
    return Plan(shape or at.y, None, *(made or ()))


def taps_of(kernel_size: Pair) -> np.ndarray:
    """The taps (a, b) of a window, in reading order: int64 (T, 2)."""
    return np.indices(kernel_size, np.int64).reshape(2, -1).T


def channels_last(x: np.ndarray) -> np.ndarray:
    """x (N, C, …), as PyTorch has images, as (N, …, C): a view, or a copy where that makes channels adjacent.

    The copy is that of float32 in C order, whose blocks of four by four csrc/strided.h turns in registers, in
    a third to a tenth of the time that NumPy takes. Everything else stays a view, for its reader to copy.
    """
    view = x.transpose(0, *range(2, x.ndim), 1)
    apart = x.flags.num & READABLE == READABLE and not view.flags.num & CONTIGUOUS
    if lib is None or not apart or type(x) is not np.ndarray or x.dtype is not F32 or not x.size:
        return view
    n, c = x.shape[:2]
    copy = np.empty(view.shape, F32)
    lib.nn_transpose(BEST, n, c, x.size // (n * c), x.itemsize, from_buffer(x), from_buffer(copy))
    return copy
