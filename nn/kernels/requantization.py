"""Requantisation: int32 sums of products become 8-bit integers on a grid of their own.

qgemm, qconv2d and qdepthwise_conv2d end with it; here are its specification, the checks of its arguments, and
the struct in which C is told of them (csrc/requantize.h).
"""

from typing import Any

import numpy as np

from .arguments import I8, I32, U8, integer, number
from .contract import Plan
from .native import ffi, from_buffer

RANGE = {U8: (0, 255), I8: (-128, 127)}
OWN = {dtype: dtype for dtype in RANGE}  # of equal dtypes the object that is compared by identity


def requantised(acc: np.ndarray, scale: float | np.ndarray, out_zero: int, dtype: np.dtype,
                clip: tuple[int, int] | None = None) -> np.ndarray:
    """clamp(round_half_even(float32(acc) · float32(scale)) + out_zero), as uint8 or int8.

    clip: the codes that it is clamped to; by default all that the dtype has.
    """
    low, high = map(int, RANGE[dtype] if clip is None else clip)
    with np.errstate(over="ignore"):  # infinity is clamped like any other large number
        scaled = acc.astype(np.float32) * np.float32(scale)
    # Clamping before rounding is the same, since the bounds are integers, and can't lose bits to a large sum.
    return (np.rint(np.clip(scaled, low - int(out_zero), high - int(out_zero))) + int(out_zero)).astype(dtype)


def around(who: str, scale: Any, out_zero: Any, clip: Any, dtype: Any = U8, **more: Any) -> Plan:
    """What happens around a sum of products, checked: a Plan with the result's dtype, and with the struct
    `nn_qgemm_around` for C.

    dtype: that of a requantised result. more: other fields of the struct, checked; its vectors as arrays, or
    None. The vectors are not copied: C reads them, and looks at the scales, in each call.
    """
    low = high = 0
    if scale is None:
        dtype = I32
        integer(who, "out_zero without scale", out_zero, 0, 0)
        if clip is not None:
            raise ValueError(f"{who}: clip without scale must be None, got {clip!r:.80}")
    else:
        scale = positive(who, scale) if not isinstance(scale, np.ndarray) or not scale.ndim else scale
        low, high = RANGE[dtype]
        out_zero = integer(who, "out_zero", out_zero, low, high)
        if clip is not None:
            low, high = codes(who, clip, low, high)
    if ffi is None:
        return Plan((), dtype)
    vectors = {"scales": scale, **more}
    kept = {name: from_buffer(x) for name, x in vectors.items() if isinstance(x, np.ndarray)}
    numbers = {name: x for name, x in more.items() if x is not None and name not in kept}
    c = ffi.new("nn_qgemm_around *", {
        "scale": scale if isinstance(scale, float) else 0, "out_size": dtype.itemsize, "out_zero": out_zero,
        "low": low, "high": high, **numbers, **kept})
    return Plan((), dtype, c, kept)


def codes(who: str, clip: Any, lowest: int, highest: int) -> tuple[int, int]:
    """The ends (low, high) of a clip, found to be codes of the result, lowest..highest, in this order."""
    if not isinstance(clip, (tuple, list)) or len(clip) != 2:
        raise TypeError(f"{who}: clip must be a pair of integers (low, high), got {clip!r:.80}")
    low, high = (integer(who, f"clip[{i}]", end, lowest, highest) for i, end in enumerate(clip))
    if low > high:
        raise ValueError(f"{who}: clip must be (low, high) with low <= high, got ({low}, {high})")
    return low, high


def positive(who: str, scale: Any, name: str = "scale", least: float = 2.0**-149) -> float:
    """The float32 nearest to a scale, found to be a positive and finite number, and not below `least`."""
    number(who, name, scale[()] if isinstance(scale, np.ndarray) else scale)
    if 2.0**-126 <= scale < 2.0**127:  # the usual case, in which nothing can overflow
        return float(np.float32(scale))
    with np.errstate(over="ignore", under="ignore"):
        nearest = float(np.float32(scale))
    if not least <= nearest < np.inf:
        raise ValueError(f"{who}: {name} must be positive and finite in float32, got {scale}")
    return nearest


def all_positive(who: str, scale: Any) -> None:
    """Raise if a scale is a vector with a number that is not positive and finite, and say which."""
    if isinstance(scale, np.ndarray) and scale.ndim:
        good = (scale > 0) & (scale < np.inf)
        if not good.all():
            raise ValueError(f"{who}: every scale must be positive and finite, got {scale[~good][0]} "
                             f"at column {int(np.argmin(good))}")
