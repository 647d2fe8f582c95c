"""Pooling: the greatest or the mean of each window of an image (N, C, H, W) or a signal (N, C, L).

Two rules do it all, max_pool2d and avg_pool2d. Windows that they do not have (with holes, over the edge, of
unequal sizes) are first laid side by side, or the image is padded.
"""

from __future__ import annotations

import numpy as np

from .. import rules
from ..arguments import flag
from ..geometry import pair, positions, several
from ..tensor import Operand, Tensor, apply
from .half import rounded_once
from .padding import pad
from .shapes import as_tensor

Pair = int | tuple[int, int]


def max_pool2d(input: Operand, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0,
               dilation: Pair = 1, ceil_mode: bool = False) -> Tensor:
    """The greatest value in each window: input (N, C, H, W) → (N, C, H', W'); stride is kernel_size if None.

    All sizes are ints or pairs (vertical, horizontal). padding: on all sides, never the greatest. Of equal
    values the first, in reading order, takes the gradient. dilation: the distance of a window's pixels.
    ceil_mode: also windows that reach over the edge, if they begin inside.
    Raises ValueError or TypeError for sizes and shapes that do not fit.
    """
    rule = rules.pool.max_pool2d
    if not flag(rule.name, "ceil_mode", ceil_mode) and dilation in (1, (1, 1)):
        return apply(rule, input, kernel_size=kernel_size, stride=stride, padding=padding)
    x, kernel, stride, dilation, counts = _padded(rule.name, input, kernel_size, stride, padding, dilation,
                                                  ceil_mode, -np.inf)
    if dilation == (1, 1):
        return apply(rule, x, kernel_size=kernel, stride=stride)
    entries = [s * np.arange(n)[:, None] + d * np.arange(k) for n, s, d, k in
               zip(counts, stride, dilation, kernel, strict=True)]
    return apply(rule, _side_by_side(x, *entries), kernel_size=kernel)


@rounded_once
def avg_pool2d(input: Operand, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0,
               ceil_mode: bool = False, count_include_pad: bool = True,
               divisor_override: int | None = None) -> Tensor:
    """The mean of each window: input (N, C, H, W) → (N, C, H', W'); stride is kernel_size if None. All sizes
    are ints or pairs (vertical, horizontal). The zeros of the padding count unless count_include_pad is
    false; what ceil_mode adds beyond them never counts. divisor_override: what to divide each sum by instead.
    Raises ValueError or TypeError for sizes and shapes that do not fit."""
    rule = rules.pool.avg_pool2d
    if divisor_override is not None and not divisor_override:
        raise ValueError("avg_pool2d: divisor_override is 0")
    ceil_mode = flag(rule.name, "ceil_mode", ceil_mode)
    count_include_pad = flag(rule.name, "count_include_pad", count_include_pad)
    if not ceil_mode and (count_include_pad or not np.any(padding)) and divisor_override is None:
        return apply(rule, input, kernel_size=kernel_size, stride=stride, padding=padding)
    x, kernel, stride, _, counts = _padded(rule.name, input, kernel_size, stride, padding, 1, ceil_mode, 0)
    y = apply(rule, x, kernel_size=kernel, stride=stride)
    if divisor_override is None:
        pixels, sizes = [], np.shape(getattr(input, "_data", input))[2:]
        for count, n, k, s, p in zip(counts, sizes, kernel, stride, pair(rule.name, "padding", padding, 0),
                                     strict=True):
            start = s * np.arange(count) - p
            end = np.minimum(start + k, n + p)
            pixels.append(end - start if count_include_pad else np.minimum(end, n) - np.maximum(start, 0))
        divisor_override = np.outer(*pixels)
    return y * (kernel[0] * kernel[1] / np.asarray(divisor_override)).astype(x.dtype)


@rounded_once
def adaptive_avg_pool2d(input: Operand, output_size: int | tuple[int | None, int | None] | None) -> Tensor:
    """The mean of each of H'×W' windows that cover input: (N, C, H, W) → (N, C, H', W'). The i-th goes from
    ⌊i·H/H'⌋ to ⌈(i + 1)·H/H'⌉. output_size: (H', W'), an int for both, None for the input's size. Raises
    ValueError or TypeError for anything else."""
    y, kernel, lengths = _adaptive(rules.pool.avg_pool2d, input, output_size, 0)
    pixels, most = np.outer(*lengths), kernel[0] * kernel[1]
    return y if (pixels == most).all() else y * (most / pixels).astype(y.dtype)


def adaptive_max_pool2d(input: Operand, output_size: int | tuple[int | None, int | None] | None) -> Tensor:
    """The greatest of each of H'×W' windows that cover input (N, C, H, W), as in adaptive_avg_pool2d.
    output_size: as there. Raises ValueError or TypeError for anything else."""
    return _adaptive(rules.pool.max_pool2d, input, output_size, -np.inf)[0]


def max_pool1d(input: Operand, kernel_size: int, stride: int | None = None, padding: int = 0,
               dilation: int = 1, ceil_mode: bool = False) -> Tensor:
    """The greatest value in each window, (N, C, L) → (N, C, L'): max_pool2d of an input one pixel high.
    kernel_size, stride, padding, dilation, ceil_mode: as there, ints. Raises what that raises."""
    x, (k, s, p, d) = _signal("max_pool1d", input, kernel_size, stride, padding, dilation)
    return max_pool2d(x, (1, k), (1, s), (0, p), (1, d), ceil_mode).squeeze(2)


def avg_pool1d(input: Operand, kernel_size: int, stride: int | None = None, padding: int = 0,
               ceil_mode: bool = False, count_include_pad: bool = True) -> Tensor:
    """The mean of each window, (N, C, L) → (N, C, L'): avg_pool2d of an input one pixel high. kernel_size,
    stride, padding, ceil_mode, count_include_pad: as there, ints. Raises what that raises."""
    x, (k, s, p, _) = _signal("avg_pool1d", input, kernel_size, stride, padding, 1)
    return avg_pool2d(x, (1, k), (1, s), (0, p), ceil_mode, count_include_pad).squeeze(2)


def _padded(op, input, kernel_size, stride, padding, dilation, ceil_mode, value):
    """The image, padded with `value` for all of its windows; kernel, stride and dilation as pairs; and along
    both axes the number of windows."""
    x, counts, widths = as_tensor(input), [], []
    kernel, padding = rules.pool.settings(op, x, kernel_size, padding)
    stride = kernel if stride is None else pair(op, "stride", stride, 1)
    dilation = pair(op, "dilation", dilation, 1)
    for n, k, s, p, d in zip(x.shape[2:], kernel, stride, padding, dilation, strict=True):
        span = d * (k - 1) + 1
        out = positions(n + (s - 1 if ceil_mode else 0), k, s, p, d)  # rounded up: as of s − 1 more pixels
        if ceil_mode and (out - 1) * s >= n + p:  # it would begin in the padding behind the image
            out -= 1
        if (n + 2 * p < span and not ceil_mode) or out < 1:
            raise ValueError(f"{op}: {n} pixels with padding {p} are smaller than a window of kernel {k} and "
                             f"dilation {d}")
        counts.append(out)
        widths = [p, max(p, (out - 1) * s + span - n - p), *widths]  # of the last axis first
    return pad(x, widths, value=value), kernel, stride, dilation, counts


def _side_by_side(x, rows, columns):
    """The image of the windows that `rows` and `columns` (out, kernel) pick, none overlapping another."""
    return x.index_select(2, rows.ravel()).index_select(3, columns.ravel())


def _adaptive(rule, input, output_size, value):
    """The rule of unequal windows that cover the image; the largest; and the lengths of all along both axes.
    They are laid side by side, all as large as the largest: what one lacks comes from a border of `value`."""
    op, x = f"adaptive_{rule.name}", as_tensor(input)
    if x.ndim != 4 or not x.shape[2] or not x.shape[3]:
        raise ValueError(f"{op}: the input has shape {x.shape}, wanted (N, C, H, W)")
    rules.checks.floats(op, x)
    both = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    both = tuple(n if wanted is None else wanted for wanted, n in zip(both, x.shape[2:], strict=False))
    entries, lengths = [], []
    for out, n in zip(pair(op, "output_size", both, 1), x.shape[2:], strict=True):
        i = np.arange(out)
        start, end = i * n // out, -(-(i + 1) * n // out)
        lengths.append(end - start)
        places = start[:, None] + np.arange(lengths[-1].max())
        entries.append(np.where(places < end[:, None], places, n))
    if any(places.size != n for places, n in zip(entries, x.shape[2:], strict=True)):
        x = _side_by_side(pad(x, (0, 1, 0, 1), value=value), *entries)
    kernel = tuple(places.shape[1] for places in entries)
    return apply(rule, x, kernel_size=kernel), kernel, lengths


def _signal(op, input, kernel_size, stride, padding, dilation):
    """The signal as an image one pixel high, and the settings as ints."""
    x = as_tensor(input)
    if x.ndim != 3:
        raise ValueError(f"{op}: the input has shape {x.shape}, wanted (N, C, L)")
    given = ("kernel_size", kernel_size, 1), ("stride", kernel_size if stride is None else stride, 1), (
        "padding", padding, 0), ("dilation", dilation, 1)
    return x.unsqueeze(2), [several(op, name, n, least, 1)[0] for name, n, least in given]
