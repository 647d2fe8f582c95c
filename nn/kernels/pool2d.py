"""max_pool2d, avg_pool2d and their gradients: windows of channels-last images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..geometry import Pair, both, met, pair, positions
from .convolution import pad
from .kernel import kernel
from .native import ffi


def windows(size: Pair, kernel_size: Pair, stride: Pair, padding: Pair) -> Pair:
    """How many windows there are down and across."""
    return tuple(map(positions, size, kernel_size, stride, padding))


def taps(counts: Pair, kernel_size: Pair, stride: Pair) -> Iterator[tuple[slice, slice, slice]]:
    """For each pixel of a window, in reading order: where all windows meet it in the padded images."""
    for i in range(kernel_size[0]):
        for j in range(kernel_size[1]):
            yield slice(None), met(i, counts[0], stride[0]), met(j, counts[1], stride[1])


def unpad(padded: np.ndarray, padding: Pair) -> np.ndarray:
    """Images without what lies around them."""
    (top, left), (_, h, w, _) = padding, padded.shape
    return padded[:, top:h - top, left:w - left].copy()


MOST = 256   # pixels of a window whose winner is one byte


@kernel(x="f32[N,H,W,C]", out=("y: f32[N,H',W',C]", "winner: u8[N,H',W',C]"))
def max_pool2d(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair = (0, 0)
               ) -> tuple[np.ndarray, np.ndarray]:
    """The greatest value in each window of x (N, H, W, C), float32, channel by channel.

    Returns: y (N, H', W', C), H' = ⌊(H + 2p − k)/s⌋ + 1; and the winner: at which pixel of the window, in
    reading order, y was found: of equal ones at the first; a NaN is greater than all, and of several the last
    one wins, as in PyTorch. It is uint8, and wider for windows of more than 256 pixels. At most half of a
    window is padding, which never wins; where an image has no height or no width, y is −∞ and the winner 0.
    Raises TypeError for a wrong type or dtype, ValueError for a wrong shape or what does not fit.
    kernel_size, stride, padding: pairs (vertical, horizontal).
    """
    kernel_size, stride, padding = both(kernel_size), both(stride), both(padding)
    counts = windows(x.shape[1:3], kernel_size, stride, padding)
    padded, images = pad(x, padding), pad(np.ones((1, *x.shape[1:3], 1), bool), padding)
    y = np.full((len(x), *counts, x.shape[3]), -np.inf, x.dtype)
    dtype = np.min_scalar_type(kernel_size[0] * kernel_size[1] - 1)
    winner, found = np.zeros(y.shape, dtype), np.zeros((1, *counts, 1), bool)
    for tap, pixels in enumerate(taps(counts, kernel_size, stride)):
        here, real = padded[pixels], images[pixels]
        wins = real & ((here > y) | np.isnan(here) | ~found)
        y, winner = np.where(wins, here, y), np.where(wins, dtype.type(tap), winner)
        found |= real
    return y, winner


@kernel(g="f32[N,H',W',C]", winner="u8|u16|s32[N,H',W',C]", out="f32[N,H,W,C]")
def max_pool2d_grad(g: np.ndarray, winner: np.ndarray, size: Pair, kernel_size: Pair, stride: Pair,
                    padding: Pair = (0, 0)) -> np.ndarray:
    """dx (N, H, W, C), (H, W) = size: g (N, H', W', C), float32, sent back to where max_pool2d found y.

    What several windows send to one pixel is added in the order in which the windows are read. A winner that
    names no pixel of the window sends nothing. Raises TypeError, ValueError as max_pool2d.
    kernel_size, stride, padding: as of max_pool2d.
    """
    (h, w), (top, left), kernel_size, stride = both(size), both(padding), both(kernel_size), both(stride)
    padded = np.zeros((len(g), h + 2 * top, w + 2 * left, g.shape[3]), g.dtype)
    for tap, pixels in reversed(list(enumerate(taps(g.shape[1:3], kernel_size, stride)))):
        padded[pixels] += np.where(winner == tap, g, g.dtype.type(0))
    return unpad(padded, (top, left))


@kernel(x="f32[N,H,W,C]", out="f32[N,H',W',C]")
def avg_pool2d(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair = (0, 0)) -> np.ndarray:
    """The mean of each window of x (N, H, W, C), float32, zeros of the padding included: y (N, H', W', C).

    Its pixels are added in reading order, then divided by their number; a window may have any. Raises
    TypeError, ValueError as max_pool2d.
    kernel_size, stride, padding: pairs (vertical, horizontal).
    """
    kernel_size, stride, padding = both(kernel_size), both(stride), both(padding)
    counts = windows(x.shape[1:3], kernel_size, stride, padding)
    padded, y = pad(x, padding), np.zeros((len(x), *counts, x.shape[3]), x.dtype)
    for pixels in taps(counts, kernel_size, stride):
        y += padded[pixels]
    return y / (kernel_size[0] * kernel_size[1])


@kernel(g="f32[N,H',W',C]", out="f32[N,H,W,C]")
def avg_pool2d_grad(g: np.ndarray, size: Pair, kernel_size: Pair, stride: Pair, padding: Pair = (0, 0)
                    ) -> np.ndarray:
    """dx (N, H, W, C), (H, W) = size: g/k of each window of k pixels to all of them, float32.

    What several windows send to one pixel is added in the order in which the windows are read. Raises
    TypeError, ValueError as max_pool2d.
    kernel_size, stride, padding: as of avg_pool2d.
    """
    (h, w), (top, left), kernel_size, stride = both(size), both(padding), both(kernel_size), both(stride)
    padded = np.zeros((len(g), h + 2 * top, w + 2 * left, g.shape[3]), g.dtype)
    share = g / (kernel_size[0] * kernel_size[1])
    for pixels in reversed(list(taps(g.shape[1:3], kernel_size, stride))):
        padded[pixels] += share
    return unpad(padded, (top, left))


class _Plan(NamedTuple):
    shape: tuple[int, int, int, int]    # of the result
    c: Any                              # the windows as C knows them; None where a winner is more than a byte


def pooled(who: str, x: tuple, kernel_size: Any, stride: Any, padding: Any) -> tuple[Pair, Pair, Pair, Pair]:
    """How many windows of images of shape x there are, and the three pairs, or an error that names one."""
    kernel_size, stride = pair(who, "kernel_size", kernel_size, 1), pair(who, "stride", stride, 1)
    padding = pair(who, "padding", padding, 0)
    if any(2 * p > k for p, k in zip(padding, kernel_size, strict=True)):
        raise ValueError(f"{who}: padding must be at most half of kernel_size {kernel_size}, got {padding}")
    counts = windows(x[1:3], kernel_size, stride, padding)
    if min(counts) < 1:
        raise ValueError(f"{who}: kernel_size {kernel_size} is larger than images {x[1:3]} with padding "
                         f"{padding}")
    return counts, kernel_size, stride, padding


def _plan(who: str, x: tuple, kernel_size: Any, stride: Any, padding: Any) -> _Plan:
    """Of windows of images of shape x; shape: theirs."""
    counts, kernel_size, *how = pooled(who, x, kernel_size, stride, padding)
    taken = ffi is not None and (who.startswith("avg") or kernel_size[0] * kernel_size[1] <= MOST)
    c = ffi.new("nn_pool *", (*x, *counts, *kernel_size, *how[0], *how[1])) if taken else None
    return _Plan((x[0], *counts, x[3]), c)


def _plan_back(who: str, g: tuple, size: Any, kernel_size: Any, stride: Any, padding: Any) -> _Plan:
    """Of the same for a gradient g of the windows; shape: the images'."""
    x = (g[0], *pair(who, "size", size, 0), g[3])
    plan = _plan(who, x, kernel_size, stride, padding)
    if g != plan.shape:
        raise ValueError(f"{who}: g must have {plan.shape[1:3]} windows for size {x[1:3]}, got shape {g}")
    return plan._replace(shape=x)


def _max_plan_back(g: tuple, winner: tuple, winner_dtype: np.dtype, size: Any, kernel_size: Any, stride: Any,
                   padding: Any) -> _Plan:
    plan = _plan_back("max_pool2d_grad", g, size, kernel_size, stride, padding)
    if winner != g:
        raise ValueError(f"max_pool2d_grad: winner must have the shape {g} of g, got {winner}")
    return plan if winner_dtype == np.uint8 else plan._replace(c=None)


max_pool2d.runs("nn_max_pool2d(plan.c, x, y, winner)", takes="plan.c",
                plan=lambda x, kernel_size, stride, padding:
                    _plan("max_pool2d", x, kernel_size, stride, padding))
max_pool2d_grad.runs("nn_max_pool2d_grad(plan.c, g, winner, out)", plan=_max_plan_back, takes="plan.c")
avg_pool2d.runs("nn_avg_pool2d(plan.c, x, out)",
                plan=lambda x, kernel_size, stride, padding:
                    _plan("avg_pool2d", x, kernel_size, stride, padding))
avg_pool2d_grad.runs("nn_avg_pool2d_grad(plan.c, g, out)",
                     plan=lambda g, size, kernel_size, stride, padding:
                         _plan_back("avg_pool2d_grad", g, size, kernel_size, stride, padding))
