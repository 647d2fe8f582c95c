"""Pooling: the greatest or the mean of each window of an image (N, C, H, W) or a signal (N, C, L).

Two rules do it all, max_pool2d and avg_pool2d. Windows that they do not have (with holes, over the edge, of
unequal sizes) are first laid side by side, or the image is padded.
"""

from __future__ import annotations

import numpy as np

from .. import rules
from ..geometry import pair, positions, several
from ..tensor import Operand, Tensor, apply
from .half import rounded_once
from .padding import pad
from .shapes import as_tensor

Pair = int | tuple[int, int]


def max_pool2d(input: Operand, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0,
               dilation: Pair = 1, ceil_mode: bool = False) -> Tensor:
    """The greatest value in each window of input (N, C, H, W); stride is kernel_size if left out.

    All sizes are ints or pairs (vertical, horizontal). padding: on all sides, never the greatest. Of equal
    values the first, in reading order, takes the gradient. dilation: the distance of a window's pixels.
    ceil_mode: also windows that reach over the edge, if they begin inside.
    Raises ValueError or TypeError for sizes and shapes that do not fit.
    """
    rule = rules.pool.max_pool2d
    if not ceil_mode and dilation in (1, (1, 1)):
        return apply(rule, input, kernel_size=kernel_size, stride=stride, padding=padding)
    x, kernel, stride, padding, dilation = _checked(rule.name, input, kernel_size, stride, padding, dilation)
    windows = [_along(rule.name, *axis, ceil_mode) for axis in
               zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)]
    x = _padded(x, windows, -np.inf)
    if dilation == (1, 1):
        return apply(rule, x, kernel_size=kernel, stride=stride)
    entries = [s * np.arange(n)[:, None] + d * np.arange(k) for (n, _), s, d, k in
               zip(windows, stride, dilation, kernel, strict=True)]
    return apply(rule, _side_by_side(x, *entries), kernel_size=kernel)


@rounded_once
def avg_pool2d(input: Operand, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0,
               ceil_mode: bool = False, count_include_pad: bool = True,
               divisor_override: int | None = None) -> Tensor:
    """The mean of each window of input (N, C, H, W); stride is kernel_size if left out.

    All sizes are ints or pairs (vertical, horizontal). The zeros of the padding count unless
    count_include_pad is false; what ceil_mode adds beyond them never counts. divisor_override: what to divide
    each sum by instead. Raises ValueError or TypeError for sizes and shapes that do not fit.
    """
    rule = rules.pool.avg_pool2d
    if divisor_override is not None and not divisor_override:
        raise ValueError("avg_pool2d: divisor_override is 0")
    if not ceil_mode and (count_include_pad or not np.any(padding)) and divisor_override is None:
        return apply(rule, input, kernel_size=kernel_size, stride=stride, padding=padding)
    x, kernel, stride, padding, _ = _checked(rule.name, input, kernel_size, stride, padding, 1)
    windows, counts = [], []
    for n, k, s, p in zip(x.shape[2:], kernel, stride, padding, strict=True):
        windows.append(_along(rule.name, n, k, s, p, 1, ceil_mode))
        start = s * np.arange(windows[-1][0]) - p
        end = np.minimum(start + k, n + p)
        counts.append(end - start if count_include_pad else np.minimum(end, n) - np.maximum(start, 0))
    y = apply(rule, _padded(x, windows, 0), kernel_size=kernel, stride=stride)
    count = np.outer(*counts) if divisor_override is None else divisor_override
    return y * (kernel[0] * kernel[1] / np.asarray(count)).astype(x.dtype)


@rounded_once
def adaptive_avg_pool2d(input: Operand, output_size: int | tuple[int | None, int | None] | None) -> Tensor:
    """The mean of each of H'×W' windows that cover input (N, C, H, W).

    The i-th goes from ⌊i·H/H'⌋ to ⌈(i + 1)·H/H'⌉. output_size: (H', W'), an int for both, None for the
    input's size. Raises ValueError or TypeError for anything else.
    """
    rule = rules.pool.avg_pool2d
    x, bounds = _adaptive("adaptive_avg_pool2d", input, output_size)
    lengths = [end - start for start, end in bounds]
    kernel = tuple(int(length.max()) for length in lengths)
    if all(k * len(length) == n for k, length, n in zip(kernel, lengths, x.shape[2:], strict=True)):
        return apply(rule, x, kernel_size=kernel)
    y = apply(rule, _unequal(x, bounds, 0), kernel_size=kernel)
    return y * (kernel[0] * kernel[1] / np.outer(*lengths)).astype(x.dtype)


def adaptive_max_pool2d(input: Operand, output_size: int | tuple[int | None, int | None] | None) -> Tensor:
    """The greatest of each of H'×W' windows that cover input (N, C, H, W), as in adaptive_avg_pool2d.

    output_size is the same. Raises ValueError or TypeError for anything else.
    """
    x, bounds = _adaptive("adaptive_max_pool2d", input, output_size)
    kernel = tuple(int((end - start).max()) for start, end in bounds)
    if any(k * len(start) != n for k, (start, _), n in zip(kernel, bounds, x.shape[2:], strict=True)):
        x = _unequal(x, bounds, -np.inf)
    return apply(rules.pool.max_pool2d, x, kernel_size=kernel)


def max_pool1d(input: Operand, kernel_size: int, stride: int | None = None, padding: int = 0,
               dilation: int = 1, ceil_mode: bool = False) -> Tensor:
    """The greatest value in each window of input (N, C, L): max_pool2d of an image one pixel high.

    kernel_size, stride, padding, dilation, ceil_mode: as there, ints. Raises what that raises.
    """
    x, (k, s, p, d) = _signal("max_pool1d", input, kernel_size, stride, padding, dilation)
    return max_pool2d(x, (1, k), (1, s), (0, p), (1, d), ceil_mode).squeeze(2)


def avg_pool1d(input: Operand, kernel_size: int, stride: int | None = None, padding: int = 0,
               ceil_mode: bool = False, count_include_pad: bool = True) -> Tensor:
    """The mean of each window of input (N, C, L): avg_pool2d of an image one pixel high.

    kernel_size, stride, padding, ceil_mode, count_include_pad: as there, ints. Raises what that raises.
    """
    x, (k, s, p, _) = _signal("avg_pool1d", input, kernel_size, stride, padding, 1)
    return avg_pool2d(x, (1, k), (1, s), (0, p), ceil_mode, count_include_pad).squeeze(2)


def _checked(op, input, kernel_size, stride, padding, dilation):
    x = as_tensor(input)
    kernel, padding = rules.pool.settings(op, x, kernel_size, padding)
    stride = kernel if stride is None else pair(op, "stride", stride, 1)
    return x, kernel, stride, padding, pair(op, "dilation", dilation, 1)


def _along(op, n, k, s, p, d, ceil_mode):
    """Along one axis: (how many windows, (what to pad before, and behind))."""
    span = d * (k - 1) + 1
    out = positions(n + (s - 1 if ceil_mode else 0), k, s, p, d)  # rounded up: as of s − 1 more pixels
    if ceil_mode and (out - 1) * s >= n + p:  # it would begin in the padding behind the image
        out -= 1
    if (n + 2 * p < span and not ceil_mode) or out < 1:
        raise ValueError(f"{op}: {n} pixels with padding {p} are smaller than a window of kernel {k} and "
                         f"dilation {d}")
    return out, (p, max(p, (out - 1) * s + span - n - p))


def _padded(x, windows, value):
    (_, (top, bottom)), (_, (left, right)) = windows
    return pad(x, (left, right, top, bottom), value=value)


def _side_by_side(x, rows, columns):
    """The image of the windows that `rows` and `columns` (out, kernel) pick, none overlapping another."""
    return x.index_select(2, rows.ravel()).index_select(3, columns.ravel())


def _adaptive(op, input, output_size):
    """The image, and for both axes where the windows start and end."""
    x = as_tensor(input)
    if x.ndim != 4 or not x.shape[2] or not x.shape[3]:
        raise ValueError(f"{op}: the input has shape {x.shape}, wanted (N, C, H, W)")
    rules.checks.floats(op, x)
    both = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    both = tuple(n if wanted is None else wanted for wanted, n in zip(both, x.shape[2:], strict=False))
    bounds = []
    for out, n in zip(pair(op, "output_size", both, 1), x.shape[2:], strict=True):
        i = np.arange(out)
        bounds.append((i * n // out, -(-(i + 1) * n // out)))
    return x, bounds


def _unequal(x, bounds, value):
    """Windows side by side, all as large as the largest: what one lacks comes from a border of `value`."""
    entries = []
    for (start, end), n in zip(bounds, x.shape[2:], strict=True):
        places = start[:, None] + np.arange((end - start).max())
        entries.append(np.where(places < end[:, None], places, n))
    return _side_by_side(pad(x, (0, 1, 0, 1), value=value), *entries)


def _signal(op, input, kernel_size, stride, padding, dilation):
    """The signal as an image one pixel high, and the settings as ints."""
    x = as_tensor(input)
    if x.ndim != 3:
        raise ValueError(f"{op}: the input has shape {x.shape}, wanted (N, C, L)")
    given = ("kernel_size", kernel_size, 1), ("stride", kernel_size if stride is None else stride, 1), (
        "padding", padding, 0), ("dilation", dilation, 1)
    return x.unsqueeze(2), [several(op, name, n, least, 1)[0] for name, n, least in given]
