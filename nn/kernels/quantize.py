"""quantize, dequantize, requantize, qadd: between reals and the integers that stand for them.

real = scale · (integer − zero), as in Jacob et al. 2018, eq. 1.
"""

from typing import Any

import numpy as np

from .arguments import integer
from .kernel import kernel
from .requantization import all_positive, positive, requantised


@kernel(x="f32[...]", out="u8[...]")
def quantize(x: np.ndarray, scale: float, zero: int) -> np.ndarray:
    """clamp(round_half_even(x / scale) + zero): float32 of any shape → uint8.

    scale: positive and finite in float32. zero: in 0..255. NaN and infinity, for which no integer stands,
    raise ValueError.
    """
    with np.errstate(over="ignore"):  # what is too large is clamped
        q = np.rint(x / np.float32(scale)) + np.float32(zero)
    return np.clip(q, 0, 255).astype(np.uint8)


@kernel(q="u8|s32[...]", scale="number|f32[C]", out="f32[...]")
def dequantize(q: np.ndarray, scale: float | np.ndarray, zero: int = 0) -> np.ndarray:
    """scale · (q − zero): uint8 or int32 of any shape → float32.

    scale: positive and finite in float32, one number or one for each channel, the last axis of q. zero:
    in 0..255.
    """
    return (q.astype(np.float32) - np.float32(zero)) * np.asarray(scale, np.float32)


@kernel(q="u8|s32[...]", scale="number|f32[C]", out="u8[...]")
def requantize(q: np.ndarray, scale: float | np.ndarray, zero: int = 0, out_zero: int = 0) -> np.ndarray:
    """clamp(round_half_even(float32(q − zero) · float32(scale)) + out_zero): uint8 or int32 → uint8.

    From one grid to another, or from sums of products: scale is that of q divided by the result's. It, zero
    and out_zero may be what they may be for dequantize.
    """
    return requantised(q.astype(np.int64) - zero, scale, out_zero, np.dtype(np.uint8))


@kernel(a="u8[...]", b="u8[...]", out="u8[...]")
def qadd(a: np.ndarray, b: np.ndarray, a_scale: float, a_zero: int, b_scale: float, b_zero: int, scale: float,
         zero: int) -> np.ndarray:
    """The sum of two arrays on grids of their own, as integers on a third: uint8, equal shapes.

        clamp(round_half_even((a − a_zero)·(a_scale/scale) + (b − b_zero)·(b_scale/scale)) + zero)

    The quotients are rounded to float32, and so is every operation after them.
    a_scale, a_zero, b_scale, b_zero, scale, zero: the grids of a, of b and of the result, each scale positive
    and finite in float32, each zero in 0..255.
    """
    left, right = np.float32(a_scale / scale), np.float32(b_scale / scale)
    total = (a.astype(np.float32) - a_zero) * left + (b.astype(np.float32) - b_zero) * right
    return (np.rint(np.clip(total, -zero, 255 - zero)) + zero).astype(np.uint8)


def grid(who: str, scale: Any, zero: Any, of: str = "") -> None:
    """Raise unless scale and zero are those of a grid of uint8."""
    positive(who, scale, f"{of}scale", 2.0**-126)  # the least float32 with all its digits
    integer(who, f"{of}zero", zero, 0, 255)


def per_channel(who: str, q: np.ndarray, scale: Any, zero: Any) -> None:
    """The same where there may be a scale for each channel, the last axis of q."""
    if isinstance(scale, np.ndarray) and scale.ndim:
        if not q.ndim or len(scale) != q.shape[-1]:
            raise ValueError(f"{who}: scale must have a number for each channel of q of shape {q.shape}, got "
                             f"shape {scale.shape}")
        all_positive(who, scale)
        scale = 1.0
    grid(who, scale, zero)


def _values(who, x, scale, zero) -> None:
    grid(who, scale, zero)
    if not np.isfinite(x).all():
        raise ValueError(f"{who}: x holds NaN or infinity; no integer stands for it")


def _qadd_values(who, a_scale, a_zero, b_scale, b_zero, scale, zero) -> None:
    for of, *its in ("a_", a_scale, a_zero), ("b_", b_scale, b_zero), ("", scale, zero):
        grid(who, *its, of)


quantize.runs(None, values=_values)
dequantize.runs(None, values=per_channel)
requantize.runs(None, values=per_channel,
                plan=lambda who, out_zero: integer(who, "out_zero", out_zero, 0, 255))
qadd.runs(None, values=_qadd_values)
