"""Integers, solved a third time: by looking for the nearest point of the grid, and by sums in float64."""

import numpy as np


def scale_and_zero_point(low, high, bits):
    """As in the task."""
    ends = np.array([low, high, 0.0], np.float64)
    scale = np.ptp(ends) / (2**bits - 1)
    if not scale:
        return 1.0, 0
    grid = np.arange(2**bits) * scale + ends.min()
    return scale, int(np.abs(grid).argmin())


def quantize(x, scale, zero, bits):
    """As in the task: first clamped as reals, then rounded."""
    inside = np.minimum(np.maximum(x, (0 - zero) * scale), (2**bits - 1 - zero) * scale)
    steps = inside / scale
    down = np.floor(steps)
    rest = steps - down
    up = (rest > 0.5) | ((rest == 0.5) & (down % 2 == 1))
    return (down + up + zero).astype(np.int64).clip(0, 2**bits - 1).astype(np.uint8)


def dequantize(codes, scale, zero):
    """As in the task: by a table of all codes."""
    table = (np.arange(256) - zero) * np.float64(scale)
    return table[codes]


def quantize_channels(w, bits):
    """As in the task."""
    most = 2.0 ** (bits - 1) - 1
    reach = np.maximum(w.max(axis=1, keepdims=True), -w.min(axis=1, keepdims=True))
    factor = np.divide(most, reach, out=np.zeros_like(reach), where=reach > 0)
    scales = np.divide(reach, most, out=np.ones_like(reach), where=reach > 0)
    return np.rint(w * factor).astype(np.int8), scales[:, 0]


def integer_product(x, zero, w):
    """As in the task: float64 holds integers below 2⁵³ exactly."""
    return ((x.astype(np.float64) - zero) @ w.astype(np.float64)).astype(np.int32)


def extremes(w, low, high, zero):
    """As in the task: with the two inputs that reach them."""
    wide = w.astype(np.int64)
    best = np.where(w > 0, high, low).astype(np.int64) - zero
    worst = np.where(w > 0, low, high).astype(np.int64) - zero
    return (worst * wide).sum(axis=0), (best * wide).sum(axis=0)


def counter_input(w, low, high, zero, bits):
    """As in the task: try the two inputs of each column."""
    for column in reversed(range(w.shape[1])):
        for first, second in ((low, high), (high, low)):
            x = [first if weight < 0 else second for weight in w[:, column].tolist()]
            total = sum((code - zero) * weight for code, weight in zip(x, w[:, column].tolist(), strict=True))
            if total.bit_length() >= bits and total != -(2 ** (bits - 1)):
                return column, np.array(x, np.uint8)
    return None
