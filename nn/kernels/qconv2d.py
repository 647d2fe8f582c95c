"""qconv2d, qdepthwise_conv2d: the exact convolution of uint8 images with int8 filters, and requantisation."""

from math import prod
from typing import Any

import numpy as np

from ..geometry import LARGEST, Pair
from .arguments import U8, integer
from .contract import Plan, operand
from .conv2d import conv2d
from .convolution import Geometry, geometry, part
from .depthwise_conv2d import depthwise, depthwise_conv2d
from .im2col import im2col
from .kernel import kernel
from .operand import Operand
from .qgemm import qgemm
from .requantization import all_positive, around, requantised


@kernel(x="u8[N,H,W,C]", w=operand("s8[O,C/groups,kH,kW]"), bias="s32[O]?", scale="number|f32[O]?",
        out="s32|u8[N,H',W',O]")
def qconv2d(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, *, x_zero: int = 0,
            stride: int | Pair = 1, padding: int | Pair = 0, dilation: int | Pair = 1, groups: int = 1,
            scale: float | np.ndarray | None = None, out_zero: int = 0, clip: tuple[int, int] | None = None
            ) -> np.ndarray:
    """conv2d in integers: Σ (x − x_zero)·w + bias over taps and channels, exact modulo 2³².

    Around x lies x_zero, which stands for 0. `qconv2d.pack(w, groups)` packs w. Without `scale` the result is
    int32; with scale, positive and finite, it is requantised as by qgemm, to uint8 with out_zero for 0 and to
    the codes clip = (low, high).
    """
    # float64 holds every integer up to 2⁵³, so this is exact.
    acc = conv2d.reference(x.astype(np.float64) - x_zero, w.astype(np.float64), None, stride=stride,
                           padding=padding, dilation=dilation, groups=groups)
    acc = (acc.astype(np.int64) + (0 if bias is None else bias)).astype(np.int32)  # modulo 2³²
    return acc if scale is None else requantised(acc, scale, out_zero, U8, clip)


@kernel(x="u8[N,H,W,C]", w="s8[C,1,kH,kW]", bias="s32[C]?", scale="number|f32[C]?", out="s32|u8[N,H',W',C]")
def qdepthwise_conv2d(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, *, x_zero: int = 0,
                      stride: int | Pair = 1, padding: int | Pair = 0, dilation: int | Pair = 1,
                      scale: float | np.ndarray | None = None, out_zero: int = 0,
                      clip: tuple[int, int] | None = None) -> np.ndarray:
    """qconv2d with groups = C = O, one filter for each channel; x_zero, scale, out_zero, clip as there."""
    acc = depthwise_conv2d.reference(x.astype(np.int32) - np.int32(x_zero), w.astype(np.int32), bias,
                                     stride=stride, padding=padding, dilation=dilation)
    return acc if scale is None else requantised(acc, scale, out_zero, U8, clip)


def _plan(who, x, w, x_zero, stride, padding, dilation, groups, scale, out_zero, clip) -> Plan:
    return checked(who, geometry(who, x, w, stride, padding, dilation, groups), x_zero, scale, out_zero, clip)


def _depthwise_plan(who, x, w, x_zero, stride, padding, dilation, scale, out_zero, clip) -> Plan:
    return checked(who, depthwise(who, x, w, stride, padding, dilation), x_zero, scale, out_zero, clip)


def checked(who: str, at: Geometry, x_zero: Any, scale: Any, out_zero: Any, clip: Any) -> Plan:
    """The plan of a convolution of integers, its zero points, its scale and its clip checked."""
    integer(who, "x_zero", x_zero, 0, 255)
    plan = around(who, scale, out_zero, clip)
    plan.shape, plan.geometry = at.y, at
    return plan


def _pack(w: np.ndarray, groups: int = 1) -> Operand:
    """For each group its filters as the columns of a matrix, in qgemm's panels, in the order of im2col."""
    groups = integer("qconv2d.pack", "groups", groups, 1, LARGEST)
    if len(w) % groups:
        raise ValueError(f"qconv2d.pack: w must have a multiple of groups={groups} filters, got {len(w)}")
    return Operand(qconv2d, w.shape, weights=w.copy(), groups=groups)


def _seen_by_c(w: Operand) -> list[Operand]:
    filters = w.parts["weights"].transpose(0, 2, 3, 1)
    return [qgemm.pack(some.reshape(len(some), prod(some.shape[1:])).T)
            for some in np.split(filters, w.parts["groups"])]


def _run(choice, x, w, bias, x_zero, scale, out_zero, clip, plan, out) -> None:
    all_positive("qconv2d", scale)
    at = plan.geometry
    how = {"stride": at.stride, "padding": at.padding, "dilation": at.dilation, "fill": x_zero}
    for i, b in enumerate(w.c):
        some = part(i, b.shape[1])
        each = {"scale": scale[some] if isinstance(scale, np.ndarray) and scale.ndim else scale,
                "bias": None if bias is None else bias[some], "a_zero": x_zero, "out_zero": out_zero,
                "clip": clip}
        rows = im2col(x[..., part(i, at.w[1])], at.w[2:], **how)
        y = qgemm(rows.reshape(prod(rows.shape[:3]), b.shape[0]), b, **each)
        out[..., some] = y.reshape(*at.y[:3], b.shape[1])


qconv2d.runs(_run, plan=_plan, pack=_pack, unpack=lambda w: w.parts["weights"], seen_by_c=_seen_by_c,
             values=all_positive)
qdepthwise_conv2d.runs(None, plan=_depthwise_plan, values=all_positive)
