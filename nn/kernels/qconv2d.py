"""qconv2d: the exact convolution of uint8 images with int8 filters, and requantisation."""

from typing import Any

import numpy as np

from ..geometry import Pair
from .arguments import U8, integer
from .contract import Plan, operand
from .conv2d import conv2d
from .convolution import Geometry, geometry, grouped, part, planned
from .kernel import kernel
from .native import ffi
from .operand import Operand
from .qgemm import qgemm
from .requantization import all_positive, around, requantised


@kernel(x="u8[N,H,W,C]", w=operand("s8[O,C/groups,kH,kW]"), bias="s32[O]?", scale="number|f32|f64[O]?",
        out="s32|u8[N,H',W',O]")
def qconv2d(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, *, x_zero: int = 0,
            stride: int | Pair = 1, padding: int | Pair = 0, dilation: int | Pair = 1, groups: int = 1,
            scale: float | np.ndarray | None = None, out_zero: int = 0, clip: tuple[int, int] | None = None,
            rounding: str = "float") -> np.ndarray:
    """conv2d in integers: Σ (x − x_zero)·w + bias over taps and channels, exact modulo 2³².

    Around x lies x_zero, which stands for 0. `qconv2d.pack(w, groups)` packs w. Without `scale` the result is
    int32; with scale, positive and finite, it is requantised as by qgemm, to uint8 with out_zero for 0 and to
    the codes clip = (low, high); rounding as there.
    """
    # float64 holds every integer up to 2⁵³, so this is exact.
    acc = conv2d.reference(x.astype(np.float64) - x_zero, w.astype(np.float64), None, stride=stride,
                           padding=padding, dilation=dilation, groups=groups)
    acc = (acc.astype(np.int64) + (0 if bias is None else bias)).astype(np.int32)  # modulo 2³²
    return acc if scale is None else requantised(acc, scale, out_zero, U8, clip, rounding)


def _plan(who, x, w, bias, x_zero, stride, padding, dilation, groups, scale, out_zero, clip, rounding
          ) -> Plan:
    at = geometry(who, x, w, stride, padding, dilation, groups)
    plan = checked(who, at, x_zero, scale, out_zero, clip, rounding, bias)
    if ffi is not None:
        g = planned(who, at)
        plan.kept = plan.kept, g.kept
        plan.c = ffi.new("nn_qconv2d_how *", {"g": g.c[0], "around": plan.c[0]})
    return plan


def checked(who: str, at: Geometry, x_zero: Any, scale: Any, out_zero: Any, clip: Any, rounding: Any,
            bias: np.ndarray | None = None) -> Plan:
    """The plan of a convolution of integers, what is around its sums checked."""
    integer(who, "x_zero", x_zero, 0, 255)
    plan = around(who, scale, out_zero, clip, rounding, a_zero=x_zero, bias=bias)
    plan.shape, plan.geometry = at.y, at
    return plan


def _pack(w: np.ndarray, groups: int = 1) -> Operand:
    """The filters of each group as the columns of a matrix of qgemm, whose rows are taps and channels."""
    groups, (o, c, kh, kw) = grouped("qconv2d.pack", w, groups), w.shape
    by_tap = w.transpose(2, 3, 1, 0).reshape(kh * kw * c, o)
    each = [qgemm.pack(by_tap[:, part(group, o // groups)]) for group in range(groups)]
    parts = {f"{name} {i}": b.parts[name] for i, b in enumerate(each)
             for name in ("panels", "sums", "fold", "largest")}
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
