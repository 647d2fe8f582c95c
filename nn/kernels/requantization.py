"""Requantisation: int32 sums of products become 8-bit integers on a grid of their own.

qgemm, qconv2d and qdepthwise_conv2d end with it; here are its specification, the checks of its arguments, and
the struct in which C is told of them (csrc/requantize.h).

    rounding="float"          clamp(round_half_even(float32(acc) · float32(scale)) + out_zero)
    rounding="fixed-point"    clamp(the product of fixed_point.py, rounded twice in integers, + out_zero)
"""

from typing import Any

import numpy as np

from .arguments import F32, I8, I32, U8, integer, number
from .contract import Plan
from .fixed_point import LEAST, MOST, multiplied, multiplier_of
from .native import ffi, from_buffer

RANGE = {U8: (0, 255), I8: (-128, 127)}
OWN = {dtype: dtype for dtype in RANGE}  # of equal dtypes the object that is compared by identity
ROUNDINGS = ("float", "fixed-point")


def requantised(acc: np.ndarray, scale: float | np.ndarray, out_zero: int, dtype: np.dtype,
                clip: tuple[int, int] | None = None, rounding: str = "float") -> np.ndarray:
    """int32 sums as uint8 or int8, clamped to the codes `clip`, or to all of the dtype."""
    low, high = (end - int(out_zero) for end in map(int, RANGE[dtype] if clip is None else clip))
    if rounding == "fixed-point":
        return (np.clip(multiplied(acc, *multiplier_of(scale)), low, high) + int(out_zero)).astype(dtype)
    with np.errstate(over="ignore"):  # infinity is clamped like any other large number
        scaled = acc.astype(np.float32) * np.float32(scale)
    # Clamping before rounding is the same, since the bounds are integers, and can't lose bits to a large sum.
    return (np.rint(np.clip(scaled, low, high)) + int(out_zero)).astype(dtype)


def around(who: str, scale: Any, out_zero: Any, clip: Any, rounding: Any, dtype: Any = U8, **more: Any
           ) -> Plan:
    """What happens around a sum of products, checked: a Plan with the result's dtype, and with the struct
    `nn_qgemm_around` for C.

    dtype: that of a requantised result. more: other fields of the struct, checked; its vectors as arrays, or
    None. The vectors are not copied: C reads them, and looks at the scales, in each call.
    """
    low = high = 0
    if not isinstance(rounding, str) or rounding not in ROUNDINGS:
        raise ValueError(f"{who}: rounding must be one of {', '.join(ROUNDINGS)}, got {rounding!r:.80}")
    fixed = rounding == "fixed-point"
    if scale is None:
        dtype = I32
        integer(who, "out_zero without scale", out_zero, 0, 0)
        if clip is not None or fixed:
            name, usual, came = ("clip", None, clip) if clip is not None else ("rounding", "float", rounding)
            raise ValueError(f"{who}: {name} without scale must be {usual}, got {came!r:.80}")
    else:
        if not isinstance(scale, np.ndarray) or not scale.ndim:
            scale = in_fixed_point(who, scale) if fixed else positive(who, scale)
        out_zero = integer(who, "out_zero", out_zero, *RANGE[dtype])
        low, high = codes(who, clip, *RANGE[dtype])
    if ffi is None:
        return Plan((), dtype)
    vectors = {"scales" if getattr(scale, "dtype", F32) == F32 else "doubles": scale, **more}
    kept = {name: from_buffer(x) for name, x in vectors.items() if isinstance(x, np.ndarray)}
    numbers = {name: x for name, x in more.items() if x is not None and name not in kept}
    c = ffi.new("nn_qgemm_around *", {
        "scale": scale if isinstance(scale, float) else 0, "out_size": dtype.itemsize, "out_zero": out_zero,
        "low": low, "high": high, "fixed": fixed, **numbers, **kept})
    return Plan((), dtype, c, kept)


def result_dtype(who: str, dtype: np.dtype, scale: Any, out_dtype: Any) -> np.dtype:
    """The dtype asked for by `out_dtype`, as the object of `RANGE` where it is one of those; None asks for
    `dtype`, that of the first argument, or without scale for int32."""
    if out_dtype is not None:
        try:
            dtype = OWN.get(found := np.dtype(out_dtype), found)
        except TypeError:
            raise TypeError(f"{who}: out_dtype must be uint8 or int8, got {out_dtype!r}") from None
        if scale is None and dtype != I32:
            raise ValueError(f"{who}: without scale out_dtype is int32, got {dtype}")
    if scale is not None and dtype not in RANGE:
        raise TypeError(f"{who}: out_dtype must be uint8 or int8, got {dtype}")
    return dtype


def codes(who: str, clip: Any, lowest: int, highest: int) -> tuple[int, int]:
    """The ends (low, high) of a clip, found to be codes of the result, lowest..highest, in this order. None
    leaves all of these."""
    if clip is None:
        return lowest, highest
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


def in_fixed_point(who: str, scale: Any) -> float:
    """A scale, found to be a number that fixed-point rounding has a multiplier and a shift for."""
    number(who, "scale", scale[()] if isinstance(scale, np.ndarray) else scale)
    if not LEAST <= scale <= MOST:
        raise ValueError(f"{who}: scale must be in 2^-32..2^29 for fixed-point rounding, got {scale}")
    return float(scale)


def all_positive(who: str, scale: Any, rounding: str = "float") -> None:
    """Raise if a scale is a vector with a number that is not positive and finite in float32, or for which
    fixed-point rounding has no multiplier, and say which."""
    if isinstance(scale, np.ndarray) and scale.ndim:
        wanted = "positive and finite in float32"
        if rounding == "fixed-point":
            good, wanted = (scale >= LEAST) & (scale <= MOST), "in 2^-32..2^29 for fixed-point rounding"
        else:
            with np.errstate(over="ignore", under="ignore"):
                nearest = scale.astype(F32)
            good = (nearest > 0) & (nearest < np.inf)
        if not good.all():
            raise ValueError(f"{who}: every scale must be {wanted}, got {scale[~good][0]} at column "
                             f"{int(np.argmin(good))}")


def plan_of_x(who, x_dtype, x_zero, bias, scale, out_zero, out_dtype, clip, rounding) -> Plan:
    """The plan of a product of x, uint8 or int8 around x_zero, and sparse int8 (N, K)."""
    x_zero = integer(who, "x_zero", x_zero, *RANGE[x_dtype])
    dtype = result_dtype(who, x_dtype, scale, out_dtype)
    return around(who, scale, out_zero, clip, rounding, dtype, a_signed=x_dtype is I8, a_zero=x_zero,
                  bias=bias)
