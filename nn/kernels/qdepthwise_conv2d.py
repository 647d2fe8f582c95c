"""qdepthwise_conv2d: the exact convolution of uint8 images with one int8 filter for each channel."""

import numpy as np

from ..geometry import Pair
from .arguments import U8
from .contract import Plan
from .depthwise_conv2d import depthwise, depthwise_conv2d
from .kernel import kernel
from .qconv2d import checked
from .requantization import all_positive, requantised


@kernel(x="u8[N,H,W,C]", w="s8[C,1,kH,kW]", bias="s32[C]?", scale="number|f32|f64[C]?",
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


def _plan(who, x, w, x_zero, stride, padding, dilation, scale, out_zero, clip, rounding) -> Plan:
    at = depthwise(who, x, w, stride, padding, dilation)
    return checked(who, at, x_zero, scale, out_zero, clip, rounding)


qdepthwise_conv2d.runs(None, plan=_plan, values=all_positive)
