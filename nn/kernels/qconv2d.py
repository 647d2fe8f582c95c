"""qconv2d, qdepthwise_conv2d: the exact convolution of uint8 images with int8 filters, and requantisation."""

from typing import Any

import numpy as np

from ..geometry import LARGEST, Pair
from .arguments import I32, U8, integer
from .contract import Plan, operand
from .conv2d import conv2d
from .convolution import Geometry, geometry, part, planned
from .depthwise_conv2d import depthwise, depthwise_conv2d
from .kernel import kernel
from .native import ffi, from_buffer
from .operand import Operand
from .qgemm import all_positive, positive, qgemm, requantised


@kernel(x="u8[N,H,W,C]", w=operand("s8[O,C/groups,kH,kW]"), bias="s32[O]?", scale="number|f32[O]?",
        out="s32|u8[N,H',W',O]")
def qconv2d(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, *, x_zero: int = 0,
            stride: int | Pair = 1, padding: int | Pair = 0, dilation: int | Pair = 1, groups: int = 1,
            scale: float | np.ndarray | None = None, out_zero: int = 0) -> np.ndarray:
    """conv2d in integers: Σ (x − x_zero)·w + bias over taps and channels, exact modulo 2³².

    Around x lies x_zero, which stands for 0. `qconv2d.pack(w, groups)` packs w. Without `scale` the result is
    int32; with scale, positive and finite, it is requantised as by qgemm, to uint8 with out_zero for 0.
    """
    # float64 holds every integer up to 2⁵³, so this is exact.
    acc = conv2d.reference(x.astype(np.float64) - x_zero, w.astype(np.float64), None, stride=stride,
                           padding=padding, dilation=dilation, groups=groups)
    acc = (acc.astype(np.int64) + (0 if bias is None else bias)).astype(np.int32)  # modulo 2³²
    return acc if scale is None else requantised(acc, scale, out_zero, np.dtype(np.uint8))


@kernel(x="u8[N,H,W,C]", w="s8[C,1,kH,kW]", bias="s32[C]?", scale="number|f32[C]?", out="s32|u8[N,H',W',C]")
def qdepthwise_conv2d(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, *, x_zero: int = 0,
                      stride: int | Pair = 1, padding: int | Pair = 0, dilation: int | Pair = 1,
                      scale: float | np.ndarray | None = None, out_zero: int = 0) -> np.ndarray:
    """qconv2d with groups = C = O, one filter for each channel; x_zero, scale, out_zero as there."""
    acc = depthwise_conv2d.reference(x.astype(np.int32) - np.int32(x_zero), w.astype(np.int32), bias,
                                     stride=stride, padding=padding, dilation=dilation)
    return acc if scale is None else requantised(acc, scale, out_zero, np.dtype(np.uint8))


def _plan(who, x, w, bias, x_zero, stride, padding, dilation, groups, scale, out_zero) -> Plan:
    at = geometry(who, x, w, stride, padding, dilation, groups)
    plan = _checked(who, at, x_zero, scale, out_zero)
    if ffi is None:
        return plan
    vectors = {"bias": bias, "scales": scale}  # whose buffers the struct points to
    kept = {name: from_buffer(v) for name, v in vectors.items() if isinstance(v, np.ndarray) and v.ndim}
    one = 0 if scale is None or "scales" in kept else positive(who, scale)
    around = {"a_zero": x_zero, "scale": one, "out_size": plan.dtype.itemsize, "out_zero": out_zero,
              "high": 255, **kept}
    g = planned(who, at)
    c = ffi.new("nn_qconv2d_how *", {"g": g.c[0], "around": around})
    return Plan(at.y, plan.dtype, c, (g, kept))


def _depthwise_plan(who, x, w, x_zero, stride, padding, dilation, scale, out_zero) -> Plan:
    return _checked(who, depthwise(who, x, w, stride, padding, dilation), x_zero, scale, out_zero)


def _checked(who: str, at: Geometry, x_zero: Any, scale: Any, out_zero: Any) -> Plan:
    integer(who, "x_zero", x_zero, 0, 255)
    if scale is not None and not (isinstance(scale, np.ndarray) and scale.ndim):
        positive(who, scale)
    integer(who, "out_zero", out_zero, 0, 0 if scale is None else 255)
    return Plan(at.y, I32 if scale is None else U8, geometry=at)


def _pack(w: np.ndarray, groups: int = 1) -> Operand:
    """The filters of each group as the columns of a matrix of qgemm, whose rows are taps and channels."""
    groups = integer("qconv2d.pack", "groups", groups, 1, LARGEST)
    o, c, kh, kw = w.shape
    if o % groups:
        raise ValueError(f"qconv2d.pack: w must have a multiple of groups={groups} filters, got {o}")
    by_tap = w.transpose(2, 3, 1, 0).reshape(kh * kw * c, o)
    each = [qgemm.pack(by_tap[:, part(group, o // groups)]) for group in range(groups)]
    parts = {f"{name} {i}": part for i, b in enumerate(each) for name, part in b.parts.items()}
    return Operand(qconv2d, w.shape, groups=groups, **parts)


def _matrices(w: Operand) -> list[Operand]:
    """The operands of qgemm that packed filters consist of, one for each group."""
    o, c, kh, kw = w.shape
    groups = w.parts["groups"]
    return [Operand(qgemm, (kh * kw * c, o // groups), **{
        name.rpartition(" ")[0]: part for name, part in w.parts.items() if name.endswith(f" {i}")})
        for i in range(groups)]


def _unpack(w: Operand) -> np.ndarray:
    o, c, kh, kw = w.shape
    by_tap = np.concatenate([b.unpack() for b in _matrices(w)], axis=1).reshape(kh, kw, c, o)
    return np.ascontiguousarray(by_tap.transpose(3, 2, 0, 1))


def _seen_by_c(w: Operand) -> Any:
    return ffi.new("nn_qgemm_b[]", [b.c[0] for b in _matrices(w)])


qconv2d.runs("nn_qconv2d(plan.c, w.c, x, out)", plan=_plan, pack=_pack, unpack=_unpack, seen_by_c=_seen_by_c,
             values=all_positive)
qdepthwise_conv2d.runs(None, plan=_depthwise_plan, values=all_positive)
