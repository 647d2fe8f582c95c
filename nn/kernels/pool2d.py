"""Windows of channels-last images: max_pool2d, avg_pool2d, their gradients; and, of quantised images on their
grid, qmax_pool2d and qavg_pool2d."""

from math import prod

import numpy as np

from ..geometry import Pair, Windows, both, pair
from .arguments import integer
from .contract import Plan
from .convolution import pad, padded, taps
from .kernel import kernel
from .native import ffi

MOST = 256  # pixels of a window whose winner is one byte
MOST_SUMMED = (2**31 - 1) // 255  # uint8 pixels whose sum is an int32


@kernel(x="f32[N,H,W,C]", out=("y: f32[N,H',W',C]", "winner: u8[N,H',W',C]"))
def max_pool2d(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair = (0, 0)
               ) -> tuple[np.ndarray, np.ndarray]:
    """The greatest value in each window of x (N, H, W, C), float32, channel by channel.

    Returns: y (N, H', W', C), H' = ⌊(H + 2p − k)/s⌋ + 1; and the winner: at which pixel of the window, in
    reading order, y was found: of equal ones at the first; a NaN is greater than all, and of several the last
    one wins, as in PyTorch. It is uint8, and wider for windows of more than 256 pixels. At most half of a
    window is padding, which never wins; where an image has no height or no width, y is −∞ and the winner 0.
    """
    real = pad(np.ones((1, *x.shape[1:3], 1), bool), padding)  # whether a pixel is no padding
    number = np.min_scalar_type(prod(both(kernel_size)) - 1).type
    y, winner, found = x.dtype.type(-np.inf), number(0), np.False_
    both_taps = zip(*(taps(images, kernel_size, stride) for images in (pad(x, padding), real)), strict=True)
    for tap, ((_, _, here), (_, _, real)) in enumerate(both_taps):
        wins = real & ((here > y) | np.isnan(here) | ~found)
        y, winner, found = np.where(wins, here, y), np.where(wins, number(tap), winner), found | real
    return y, winner


@kernel(g="f32[N,H',W',C]", winner="u8|u16|s32[N,H',W',C]", out="f32[N,H,W,C]")
def max_pool2d_grad(g: np.ndarray, winner: np.ndarray, size: Pair, kernel_size: Pair, stride: Pair,
                    padding: Pair = (0, 0)) -> np.ndarray:
    """dx (N, H, W, C), (H, W) = size: g (N, H', W', C), float32, sent back to where max_pool2d found y.

    What several windows send to a pixel is added in their order. A winner that names no pixel sends nothing.
    """
    whole, dx = padded((len(g), *both(size), g.shape[3]), padding, g.dtype)
    for tap, (_, _, pixels) in reversed(list(enumerate(taps(whole, kernel_size, stride)))):
        pixels += np.where(winner == tap, g, g.dtype.type(0))
    return dx.copy()


@kernel(x="f32[N,H,W,C]", out="f32[N,H',W',C]")
def avg_pool2d(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair = (0, 0)) -> np.ndarray:
    """The mean of each window of x (N, H, W, C), float32, zeros of the padding included: y (N, H', W', C).

    Its pixels are added in reading order, then divided by their number; a window may have any.
    """
    total = sum(pixels for _, _, pixels in taps(pad(x, padding), kernel_size, stride))
    return total / prod(both(kernel_size))


@kernel(g="f32[N,H',W',C]", out="f32[N,H,W,C]")
def avg_pool2d_grad(g: np.ndarray, size: Pair, kernel_size: Pair, stride: Pair, padding: Pair = (0, 0)
                    ) -> np.ndarray:
    """dx (N, H, W, C), (H, W) = size: g/k of each window of k pixels to all of them, added in their order."""
    whole, dx = padded((len(g), *both(size), g.shape[3]), padding, g.dtype)
    share = g / prod(both(kernel_size))
    for _, _, pixels in reversed(taps(whole, kernel_size, stride)):
        pixels += share
    return dx.copy()


@kernel(x="u8|f32[N,H,W,C]", out="u8|f32[N,H',W',C]")
def qmax_pool2d(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair = (0, 0)) -> np.ndarray:
    """The greatest value in each window of x (N, H, W, C), uint8 or float32, channel by channel.

    Padding never wins; a window that sees no pixel gives 0, or −∞. (Where y was found, max_pool2d says.)
    """
    images = pad(x, padding, -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min)
    (_, _, first), *rest = taps(images, kernel_size, stride)
    y = first.copy()
    for _, _, pixels in rest:
        np.maximum(y, pixels, out=y)
    return y


@kernel(x="u8[N,H,W,C]", out="u8[N,H',W',C]")
def qavg_pool2d(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair = (0, 0), zero: int = 0
                ) -> np.ndarray:
    """The mean of each window of x (N, H, W, C), uint8, as an integer on the same grid: real 0 is `zero`.

    round_half_even(float32(Σ)/k − zero) + zero for its k pixels, padding with `zero`, in 0..255, included.
    The sum is exact; the quotient is rounded to float32.
    """
    images = pad(x, padding, zero).astype(np.int64)
    total = sum(pixels for _, _, pixels in taps(images, kernel_size, stride))
    mean = total.astype(np.float32) / np.float32(prod(both(kernel_size)))
    return (np.rint(mean - np.float32(zero)) + np.float32(zero)).astype(x.dtype)


_MOST = {"max_pool2d": MOST, "max_pool2d_grad": MOST, "qavg_pool2d": MOST_SUMMED}  # pixels of a window in C


def _plan(who, x, kernel_size, stride, padding) -> Plan:
    """Of windows of images of shape x; shape: theirs."""
    at = Windows(who, x, kernel_size, stride, padding, size=x[1:3])
    if any(2 * p > k for p, k in zip(at.padding, at.kernel, strict=True)):
        raise ValueError(f"{who}: padding must be at most half of kernel_size {at.kernel}, got {at.padding}")
    y = (x[0], *at.out, x[3])
    if ffi is None or prod(at.kernel) > _MOST.get(who, prod(at.kernel)):
        return Plan(y)
    return Plan(y, c=ffi.new("nn_pool *", (*x, *at.out, *at.kernel, *at.stride, *at.padding)))


def _plan_back(who, g, size, kernel_size, stride, padding) -> Plan:
    """Of the same for a gradient g of the windows; shape: the images'."""
    x = (g[0], *pair(who, "size", size, 0), g[3])
    plan = _plan(who, x, kernel_size, stride, padding)
    if g != plan.shape:
        raise ValueError(f"{who}: g must have {plan.shape[1:3]} windows for size {x[1:3]}, got shape {g}")
    return Plan(x, c=plan.c)


def _max_plan_back(who, g, winner, winner_dtype, size, kernel_size, stride, padding) -> Plan:
    plan = _plan_back(who, g, size, kernel_size, stride, padding)
    if winner != g:
        raise ValueError(f"{who}: winner must have the shape {g} of g, got {winner}")
    return plan if winner_dtype == np.uint8 else Plan(plan.shape)


def _qmax_plan(who, x, x_dtype, kernel_size, stride, padding) -> Plan:
    plan = _plan(who, x, kernel_size, stride, padding)
    return Plan(plan.shape, x_dtype, plan.c)


def _qavg_plan(who, x, kernel_size, stride, padding, zero) -> Plan:
    integer(who, "zero", zero, 0, 255)
    return _plan(who, x, kernel_size, stride, padding)


max_pool2d.runs("nn_max_pool2d(plan.c, x, y, winner)", plan=_plan)
max_pool2d_grad.runs("nn_max_pool2d_grad(plan.c, g, winner, out)", plan=_max_plan_back)
avg_pool2d.runs("nn_avg_pool2d(plan.c, x, out)", plan=_plan)
avg_pool2d_grad.runs("nn_avg_pool2d_grad(plan.c, g, out)", plan=_plan_back)
qmax_pool2d.runs("nn_qmax_pool2d(plan.c, x.itemsize, x, out)", plan=_qmax_plan)
qavg_pool2d.runs("nn_qavg_pool2d(plan.c, x, zero, out)", plan=_qavg_plan)
