"""quantize, dequantize, requantize, qadd: between reals and the integers that stand for them.

real = scale · (integer − zero), as in Jacob et al. 2018, eq. 1.
"""

from typing import Any

import numpy as np

from .arguments import U8, integer
from .contract import Plan
from .kernel import kernel
from .native import ffi, from_buffer
from .requantization import all_positive, codes, positive, requantised

MOST = 2.0**120  # of a scale over another in qadd: 255 times that is the last that float32 can hold


@kernel(x="f32[...]", out="u8[...]")
def quantize(x: np.ndarray, scale: float, zero: int, *, clip: tuple[int, int] | None = None) -> np.ndarray:
    """clamp(round_half_even(x / scale) + zero): float32 of any shape → uint8.

    scale: positive and finite in float32. zero: in 0..255. clip: the codes (low, high) that the result is
    clamped to; None: (0, 255). NaN and infinity, for which no integer stands, raise ValueError.
    """
    low, high = (0, 255) if clip is None else clip
    with np.errstate(over="ignore"):  # what is too large is clamped
        q = np.rint(x / np.float32(scale)) + np.float32(zero)
    return np.clip(q, low, high).astype(np.uint8)


@kernel(q="u8|s32[...,C]", scale="number|f32[C]", out="f32[...]")
def dequantize(q: np.ndarray, scale: float | np.ndarray, zero: int = 0) -> np.ndarray:
    """scale · (q − zero): uint8 or int32 of any shape → float32.

    scale: positive and finite in float32, one number or one for each channel, the last axis of q. zero:
    in 0..255.
    """
    with np.errstate(over="ignore"):  # a sum times a large scale is infinity
        return (q.astype(np.float32) - np.float32(zero)) * np.asarray(scale, np.float32)


@kernel(q="u8|s32[...,C]", scale="number|f32[C]", out="u8[...]")
def requantize(q: np.ndarray, scale: float | np.ndarray, zero: int = 0, out_zero: int = 0, *,
               clip: tuple[int, int] | None = None) -> np.ndarray:
    """clamp(round_half_even(float32(q − zero) · float32(scale)) + out_zero): uint8 or int32 → uint8.

    From one grid to another, or from sums of products: scale is that of q divided by the result's. It, zero
    and out_zero may be what they may be for dequantize. clip: the codes (low, high) that the result is
    clamped to, those of a ReLU being (out_zero, 255); None: (0, 255).
    """
    return requantised(q.astype(np.int64) - zero, scale, out_zero, U8, clip)


@kernel(a="u8[...]", b="u8[...]", out="u8[...]")
def qadd(a: np.ndarray, b: np.ndarray, a_scale: float, a_zero: int, b_scale: float, b_zero: int, scale: float,
         zero: int, *, clip: tuple[int, int] | None = None) -> np.ndarray:
    """The sum of two arrays on grids of their own, as integers on a third: uint8, equal shapes.

        clamp(round_half_even((a − a_zero)·(a_scale/scale) + (b − b_zero)·(b_scale/scale)) + zero)

    The quotients are rounded to float32, and so is every operation after them.
    a_scale, a_zero, b_scale, b_zero, scale, zero: the grids of a, of b and of the result, each scale positive
    and finite in float32, each zero in 0..255; neither quotient above 2¹²⁰, so that the sum is a number.
    clip: the codes (low, high) that it is clamped to, those of a ReLU being (zero, 255); None: (0, 255).
    """
    left, right = (np.float32(float(own) / float(scale)) for own in (a_scale, b_scale))
    low, high = (0, 255) if clip is None else clip
    with np.errstate(over="ignore"):  # what is too large is clamped
        total = (a.astype(np.float32) - int(a_zero)) * left + (b.astype(np.float32) - int(b_zero)) * right
    return (np.rint(np.clip(total, low - int(zero), high - int(zero))) + int(zero)).astype(np.uint8)


def grid(who: str, scale: Any, zero: Any, of: str = "") -> None:
    """Raise unless scale and zero are those of a grid of uint8."""
    positive(who, scale, f"{of}scale", 2.0**-126)  # the least float32 with all its digits
    integer(who, f"{of}zero", zero, 0, 255)


def per_channel(who: str, q: np.ndarray, scale: Any) -> None:
    """Raise if there is a scale for each channel, the last axis of q, and one is wrong, and say which."""
    if isinstance(scale, np.ndarray) and scale.ndim and not q.ndim:
        raise ValueError(f"{who}: scale must be one number for q of shape {q.shape}, got shape {scale.shape}")
    all_positive(who, scale)


def _finite(who, x) -> None:
    if not np.isfinite(x).all():
        raise ValueError(f"{who}: x holds NaN or infinity; no integer stands for it")


def _quantize_plan(who, scale, zero, clip) -> Plan:
    grid(who, scale, zero)
    return Plan(c=ffi and ffi.new("nn_grid *", (float(scale), int(zero), *codes(who, clip, 0, 255))))


def _scaling(who, q, scale, zero, out_zero=0, clip=None) -> Plan:
    """What C knows of the scales of q and of the codes of the result. It looks at the scales in each call."""
    vector = isinstance(scale, np.ndarray) and scale.ndim
    grid(who, 1.0 if vector else scale, zero)
    out_zero = integer(who, "out_zero", out_zero, 0, 255)
    low, high = codes(who, clip, 0, 255)
    if ffi is None:
        return Plan()
    pointer = from_buffer(scale) if vector else ffi.NULL
    c = ffi.new("nn_scaling *", (q[-1] if vector else 0, pointer, 0 if vector else float(scale), int(zero),
                                 out_zero, low, high))
    return Plan(c=c, kept=pointer)


def _dequantize_plan(who, q, scale, zero) -> Plan:
    return _scaling(who, q, scale, zero)


def _qadd_plan(who, a_scale, a_zero, b_scale, b_zero, scale, zero, clip) -> Plan:
    for of, *its in ("a_", a_scale, a_zero), ("b_", b_scale, b_zero), ("", scale, zero):
        grid(who, *its, of)
    quotients = [float(own) / float(scale) for own in (a_scale, b_scale)]
    for name, own, quotient in zip(("a_scale", "b_scale"), (a_scale, b_scale), quotients, strict=True):
        if quotient > MOST:
            raise ValueError(f"{who}: {name} / scale must be at most 2**120, got {own} / {scale}")
    numbers = *quotients, int(a_zero), int(b_zero), int(zero), *codes(who, clip, 0, 255)
    return Plan(c=ffi and ffi.new("nn_qadd_grids *", numbers))


quantize.runs("nn_quantize(x.size, plan.c, x, out)", plan=_quantize_plan, values=_finite)
dequantize.runs("nn_dequantize(q.size, plan.c, q.itemsize, q, out)", plan=_dequantize_plan,
                values=per_channel)
requantize.runs("nn_requantize(q.size, plan.c, q.itemsize, q, out)", plan=_scaling, values=per_channel)
qadd.runs("nn_qadd(a.size, plan.c, a, b, out)", plan=_qadd_plan)
