"""qdepthwise_conv2d: the exact convolution of uint8 images with one int8 filter for each channel."""

from typing import Any

import numpy as np

from ..geometry import Pair
from .arguments import I32, U8
from .contract import Plan, operand
from .depthwise_conv2d import depthwise, depthwise_conv2d, packed_taps, unpacked
from .kernel import kernel
from .native import ffi, from_buffer
from .operand import Operand, aligned
from .qconv2d import checked
from .requantization import all_positive, requantised


@kernel(x="u8[N,H,W,C]", w=operand("s8[C,1,kH,kW]"), bias="s32[C]?", scale="number|f32|f64[C]?",
        out="s32|u8[N,H',W',C]")
def qdepthwise_conv2d(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, *, x_zero: int = 0,
                      stride: int | Pair = 1, padding: int | Pair = 0, dilation: int | Pair = 1,
                      scale: float | np.ndarray | None = None, out_zero: int = 0,
                      clip: tuple[int, int] | None = None, rounding: str = "float") -> np.ndarray:
    """qconv2d with groups = C = O, one filter for each channel; x_zero, scale, out_zero, clip and rounding as
    there."""
    acc = depthwise_conv2d.reference(x.astype(np.int32) - np.int32(x_zero), w.astype(np.int32), bias,
                                     stride=stride, padding=padding, dilation=dilation)
    return acc if scale is None else requantised(acc, scale, out_zero, U8, clip, rounding)


def _pack(w: np.ndarray) -> Operand:
    """All channels of a tap together, taps[kH·kW, C], and the sum of each channel's taps."""
    taps, sums = packed_taps("qdepthwise_conv2d", w), aligned(w.shape[:1], I32)
    sums[...] = taps.sum(axis=0, dtype=I32)
    return Operand(qdepthwise_conv2d, w.shape, taps=taps, sums=sums)


def _seen_by_c(w: Operand) -> Any:
    return ffi.new("nn_qdepthwise_w *", {name: from_buffer(part) for name, part in w.parts.items()})


def _plan(who, x, w, bias, x_zero, stride, padding, dilation, scale, out_zero, clip, rounding) -> Plan:
    at = depthwise(who, x, w, stride, padding, dilation)
    plan = checked(who, at, x_zero, scale, out_zero, clip, rounding, bias)
    if ffi is not None:
        numbers = *at.x, *at.y[1:3], *at.w[2:], *at.stride, *at.padding, *at.dilation
        plan.c = ffi.new("nn_qdepthwise *", (*numbers, plan.c[0]))
    return plan


qdepthwise_conv2d.runs("nn_qdepthwise_conv2d(plan.c, x, w.c, out)", plan=_plan, pack=_pack,
                       unpack=unpacked, seen_by_c=_seen_by_c, values=all_positive)
