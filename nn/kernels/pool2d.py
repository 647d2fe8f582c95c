"""max_pool2d, avg_pool2d and their gradients: windows of channels-last images."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from .arguments import F32, U8, contiguous, integer, room
from .convolution import pad
from .kernel import kernel
from .native import NUMPY, ffi, from_buffer, lib

Pair = tuple[int, int]
MOST = 256   # pixels of a window: a winner is one byte


def windows(size: Pair, kernel_size: Pair, stride: Pair, padding: Pair) -> Pair:
    """How many windows there are down and across: ⌊(size + 2p − k)/s⌋ + 1."""
    axes = zip(size, kernel_size, stride, padding, strict=True)
    return tuple((n + 2 * p - k) // s + 1 for n, k, s, p in axes)


def taps(counts: Pair, kernel_size: Pair, stride: Pair) -> Iterator[tuple[slice, slice, slice]]:
    """For each pixel of a window, in reading order: where all windows meet it in the padded images."""
    (down, across), (kh, kw), (sh, sw) = counts, kernel_size, stride
    for i in range(kh):
        for j in range(kw):
            rows, columns = i + sh * (down - 1) + 1, j + sw * (across - 1) + 1
            yield slice(None), slice(i, rows, sh), slice(j, columns, sw)


def unpad(padded: np.ndarray, padding: Pair) -> np.ndarray:
    """Images without what lies around them."""
    (top, left), (_, h, w, _) = padding, padded.shape
    return padded[:, top:h - top, left:w - left].copy()


@kernel
def max_pool2d(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair = (0, 0)
               ) -> tuple[np.ndarray, np.ndarray]:
    """The greatest value in each window of x (N, H, W, C), float32, channel by channel.

    Returns: y (N, H', W', C), H' = ⌊(H + 2p − k)/s⌋ + 1; and the winner, uint8: at which pixel of the window,
    in reading order, y was found: of equal ones at the first; a NaN is greater than all, and of several the
    last one wins, as in PyTorch. A window has at most 256 pixels; at most half of it is padding, which never
    wins; where an image has no height or no width, y is −∞ and the winner 0. Raises TypeError for a wrong
    type or dtype, ValueError for a wrong shape or what does not fit.
    kernel_size, stride, padding: pairs (vertical, horizontal).
    """
    counts = windows(x.shape[1:3], kernel_size, stride, padding)
    padded, images = pad(x, padding), pad(np.ones((1, *x.shape[1:3], 1), bool), padding)
    y = np.full((len(x), *counts, x.shape[3]), -np.inf, np.float32)
    winner, found = np.zeros(y.shape, np.uint8), np.zeros((1, *counts, 1), bool)
    for tap, pixels in enumerate(taps(counts, kernel_size, stride)):
        here, real = padded[pixels], images[pixels]
        wins = real & ((here > y) | np.isnan(here) | ~found)
        y, winner = np.where(wins, here, y), np.where(wins, np.uint8(tap), winner)
        found |= real
    return y, winner


@kernel
def max_pool2d_grad(g: np.ndarray, winner: np.ndarray, size: Pair, kernel_size: Pair, stride: Pair,
                    padding: Pair = (0, 0)) -> np.ndarray:
    """dx (N, H, W, C), (H, W) = size: g (N, H', W', C), float32, sent back to where max_pool2d found y.

    What several windows send to one pixel is added in the order in which the windows are read. A winner that
    names no pixel of the window sends nothing. Raises TypeError, ValueError as max_pool2d.
    kernel_size, stride, padding: as of max_pool2d.
    """
    (h, w), (top, left) = size, padding
    padded = np.zeros((len(g), h + 2 * top, w + 2 * left, g.shape[3]), np.float32)
    for tap, pixels in reversed(list(enumerate(taps(g.shape[1:3], kernel_size, stride)))):
        padded[pixels] += np.where(winner == tap, g, np.float32(0))
    return unpad(padded, padding)


@kernel
def avg_pool2d(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair = (0, 0)) -> np.ndarray:
    """The mean of each window of x (N, H, W, C), float32, zeros of the padding included: y (N, H', W', C).

    Its pixels are added in reading order, then divided by their number; a window may have any. Raises
    TypeError, ValueError as max_pool2d.
    kernel_size, stride, padding: pairs (vertical, horizontal).
    """
    counts = windows(x.shape[1:3], kernel_size, stride, padding)
    padded, y = pad(x, padding), np.zeros((len(x), *counts, x.shape[3]), np.float32)
    for pixels in taps(counts, kernel_size, stride):
        y += padded[pixels]
    return y / (kernel_size[0] * kernel_size[1])


@kernel
def avg_pool2d_grad(g: np.ndarray, size: Pair, kernel_size: Pair, stride: Pair, padding: Pair = (0, 0)
                    ) -> np.ndarray:
    """dx (N, H, W, C), (H, W) = size: g/k of each window of k pixels to all of them, float32.

    What several windows send to one pixel is added in the order in which the windows are read. Raises
    TypeError, ValueError as max_pool2d.
    kernel_size, stride, padding: as of avg_pool2d.
    """
    (h, w), (top, left) = size, padding
    padded = np.zeros((len(g), h + 2 * top, w + 2 * left, g.shape[3]), np.float32)
    share = g / (kernel_size[0] * kernel_size[1])
    for pixels in reversed(list(taps(g.shape[1:3], kernel_size, stride))):
        padded[pixels] += share
    return unpad(padded, padding)


@lru_cache(maxsize=256)
def _geometry(who: str, size: Pair, kernel_size: Pair, stride: Pair, padding: Pair) -> tuple:
    """(kernel_size, stride, padding, windows down and across), checked: the same few come again and again."""
    pairs = []
    given = (("kernel_size", kernel_size, 1), ("stride", stride, 1), ("padding", padding, 0))
    for name, pair, least in given:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError(f"{who}: {name} must be a pair of integers, got {pair!r}")
        pairs.append(tuple(integer(who, name, n, least, 1 << 31) for n in pair))
    (kh, kw), _, padding = pairs
    if kh * kw > MOST and who.startswith("max"):
        raise ValueError(f"{who}: kernel_size must be of at most {MOST} pixels, got {kh}×{kw}")
    if any(2 * p > k for p, k in zip(padding, (kh, kw), strict=True)):
        raise ValueError(f"{who}: padding must be at most half of kernel_size {(kh, kw)}, got {padding}")
    counts = windows(size, *pairs)
    if min(counts) < 1:
        raise ValueError(f"{who}: kernel_size {(kh, kw)} is larger than images {size} with padding {padding}")
    return (*pairs, counts)


def _checked(who: str, size: Any, kernel_size: Any, stride: Any, padding: Any) -> tuple:
    given = kernel_size, stride, padding
    plain = all(type(pair) is tuple and all(type(n) is int for n in pair) for pair in given)
    return (_geometry if plain else _geometry.__wrapped__)(who, size, *given)   # to a cache, 2.0 would be 2


def _struct(n: int, size: Pair, c: int, kernel_size: Pair, stride: Pair, padding: Pair, counts: Pair) -> Any:
    return ffi.new("nn_pool *", (n, *size, c, *counts, *kernel_size, *stride, *padding))


def _max_pool2d(x: Any, kernel_size: Any, stride: Any, padding: Any = (0, 0)
                ) -> tuple[np.ndarray, np.ndarray]:
    x = contiguous("max_pool2d", "x", x, 4, F32)
    n, h, w, c = x.shape
    geometry = _checked("max_pool2d", (h, w), kernel_size, stride, padding)
    if max_pool2d.choice == NUMPY:
        return max_pool2d.reference(x, *geometry[:3])
    y = room("max_pool2d", (n, *geometry[3], c))
    winner = np.empty(y.shape, U8)
    lib.nn_max_pool2d(max_pool2d.choice, _struct(n, (h, w), c, *geometry), from_buffer(x), from_buffer(y),
                      from_buffer(winner))
    return y, winner


def _avg_pool2d(x: Any, kernel_size: Any, stride: Any, padding: Any = (0, 0)) -> np.ndarray:
    x = contiguous("avg_pool2d", "x", x, 4, F32)
    n, h, w, c = x.shape
    geometry = _checked("avg_pool2d", (h, w), kernel_size, stride, padding)
    if avg_pool2d.choice == NUMPY:
        return avg_pool2d.reference(x, *geometry[:3])
    y = room("avg_pool2d", (n, *geometry[3], c))
    lib.nn_avg_pool2d(avg_pool2d.choice, _struct(n, (h, w), c, *geometry), from_buffer(x), from_buffer(y))
    return y


def _gradient(who: str, g: Any, size: Any, kernel_size: Any, stride: Any, padding: Any) -> tuple:
    """g, (H, W) and the geometry, found to fit each other."""
    g = contiguous(who, "g", g, 4, F32)
    if not isinstance(size, tuple) or len(size) != 2:
        raise TypeError(f"{who}: size must be a pair of integers, got {size!r}")
    size = tuple(integer(who, "size", s, 0, 1 << 31) for s in size)
    geometry = _checked(who, size, kernel_size, stride, padding)
    if g.shape[1:3] != geometry[3]:
        raise ValueError(f"{who}: g must have {geometry[3]} windows for size {size}, got shape {g.shape}")
    return g, size, geometry


def _max_pool2d_grad(g: Any, winner: Any, size: Any, kernel_size: Any, stride: Any, padding: Any = (0, 0)
                     ) -> np.ndarray:
    who = "max_pool2d_grad"
    g, size, geometry = _gradient(who, g, size, kernel_size, stride, padding)
    winner = contiguous(who, "winner", winner, 4, U8)
    if winner.shape != g.shape:
        raise ValueError(f"{who}: winner must have the shape {g.shape} of g, got {winner.shape}")
    if max_pool2d_grad.choice == NUMPY:
        return max_pool2d_grad.reference(g, winner, size, *geometry[:3])
    dx = room(who, (len(g), *size, g.shape[3]))
    lib.nn_max_pool2d_grad(max_pool2d_grad.choice, _struct(len(g), size, g.shape[3], *geometry),
                           from_buffer(g), from_buffer(winner), from_buffer(dx))
    return dx


def _avg_pool2d_grad(g: Any, size: Any, kernel_size: Any, stride: Any, padding: Any = (0, 0)) -> np.ndarray:
    g, size, geometry = _gradient("avg_pool2d_grad", g, size, kernel_size, stride, padding)
    if avg_pool2d_grad.choice == NUMPY:
        return avg_pool2d_grad.reference(g, size, *geometry[:3])
    dx = room("avg_pool2d_grad", (len(g), *size, g.shape[3]))
    lib.nn_avg_pool2d_grad(avg_pool2d_grad.choice, _struct(len(g), size, g.shape[3], *geometry),
                           from_buffer(g), from_buffer(dx))
    return dx


for _kernel, _call in ((max_pool2d, _max_pool2d), (max_pool2d_grad, _max_pool2d_grad),
                       (avg_pool2d, _avg_pool2d), (avg_pool2d_grad, _avg_pool2d_grad)):
    _kernel.bind(_call)
