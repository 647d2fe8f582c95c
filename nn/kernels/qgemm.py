"""qgemm: the product of 8-bit integer matrices, exact, with zero points and requantisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import native
from .arguments import F32, I8, I32, U8, array, inner, integer, output, readable_rows, vector
from .kernel import kernel
from .packed import Packed, aligned

PANEL, QUAD = 16, 4   # a packed cell is 16 columns × 4 steps of K: one 64-byte register


@kernel
def qgemm(a: np.ndarray, b: np.ndarray, *, a_zero: int = 0, b_zero: int | np.ndarray = 0,
          bias: np.ndarray | None = None, scale: float | np.ndarray | None = None, out_zero: int = 0,
          out_dtype: Any = None) -> np.ndarray:
    """The integer product Σ_k (a − a_zero)(b − b_zero) + bias, (M, K) · (K, N) → (M, N); exact modulo 2³².

    a: uint8 or int8 (M, K). b: int8 (K, N), or packed (`qgemm.pack(b)`). a_zero: integer in a's range.
    b_zero: integer in −128..127, or N of them. bias: int32 (N,).
    Without `scale` the result is int32 (ONNX MatMulInteger). With scale, a positive finite number or float32
    (N,), it is requantised (ONNX QLinearMatMul; Jacob et al. 2018, eq. 5):
        clamp(round_half_even(float32(acc) · float32(scale)) + out_zero)   as out_dtype: uint8, int8; default a's.
    `out` takes the result: right dtype, inner stride 1, sharing no memory with an input.
    The int32 sum can't overflow for K ≤ 33025 (66311 if b_zero is 0), bias aside.
    Raises TypeError for a wrong type or dtype, ValueError for a wrong shape or value.
    """
    # float64 holds every integer up to 2⁵³, so this product is exact, and it runs on BLAS.
    acc = (a.astype(np.float64) - a_zero) @ (b.astype(np.float64) - b_zero)
    acc = acc.astype(np.int64) + (0 if bias is None else bias)
    acc = acc.astype(np.int32)   # modulo 2³²
    if scale is None:
        return acc
    dtype = np.dtype(a.dtype if out_dtype is None else out_dtype)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    with np.errstate(over="ignore"):   # infinity is clamped like any other large number
        scaled = acc.astype(np.float32) * np.float32(scale)
    # Clamping before rounding is the same, since the bounds are integers, and cannot lose bits to a large sum.
    return (np.rint(np.clip(scaled, low - out_zero, high - out_zero)) + out_zero).astype(dtype)


def _pack(b: np.ndarray) -> Packed:
    """Cells of 16 columns × 4 k: panels[p][q][c][i] = b[4q + i, 16p + c], zero outside b; and column sums."""
    b = array("qgemm.pack", "b", b, 2, I8)
    k, n = b.shape
    width, quads = -(-n // PANEL), -(-k // QUAD)
    padded = np.zeros((quads * QUAD, width * PANEL), I8)
    padded[:k, :n] = b
    panels = aligned((width, quads, PANEL, QUAD), I8)
    panels[...] = padded.reshape(quads, QUAD, width, PANEL).transpose(2, 0, 3, 1)
    sums = aligned((width * PANEL,), I32)
    sums[...] = padded.sum(axis=0, dtype=np.int32)
    return Packed(qgemm, (k, n), panels=panels, sums=sums, pairs_fit=_pairs_fit(padded))


def _pairs_fit(b: np.ndarray) -> bool:
    """Whether vpmaddubsw is exact for every uint8 a: it adds two products in 16 bits, and
    255·(b₀⁺ + b₁⁺) ≤ 2¹⁵ − 1 and 255·(b₀⁻ + b₁⁻) ≤ 2¹⁵ hold if and only if both sums are at most 128."""
    pairs = b.reshape(b.shape[0] // 2, 2, b.shape[1]).astype(np.int16)
    positive, negative = np.maximum(pairs, 0).sum(axis=1), np.maximum(-pairs, 0).sum(axis=1)
    return bool(max(positive.max(initial=0), negative.max(initial=0)) <= 128)


def _unpack(packed: Packed) -> np.ndarray:
    k, n = packed.shape
    panels = packed.parts["panels"]
    width, quads = panels.shape[:2]
    return np.ascontiguousarray(panels.transpose(1, 3, 0, 2).reshape(quads * QUAD, width * PANEL)[:k, :n])


def _call(a: np.ndarray, b: np.ndarray | Packed, *, a_zero: int = 0, b_zero: int | np.ndarray = 0,
          bias: np.ndarray | None = None, scale: float | np.ndarray | None = None, out_zero: int = 0,
          out_dtype: Any = None, out: np.ndarray | None = None) -> np.ndarray:
    a = array("qgemm", "a", a, 2, U8, I8)
    if type(b) is Packed:
        qgemm.packed_for(b, "b")
    else:
        b = array("qgemm", "b", b, 2, I8)
    m, k = a.shape
    inner_b, n = b.shape
    if k != inner_b:
        raise inner("qgemm", "a", a.shape, "b", b.shape)
    a_zero = integer("qgemm", "a_zero", a_zero, *_RANGE[a.dtype])
    if isinstance(b_zero, np.ndarray) and b_zero.ndim:
        b_zero = _column_zeros(b_zero, n)
    else:
        b_zero = integer("qgemm", "b_zero", b_zero, -128, 127)
    if bias is not None:
        bias = vector("qgemm", "bias", bias, n, I32)
    if scale is None:
        dtype = I32
        if out_zero != 0 or out_dtype is not None and np.dtype(out_dtype) != I32:
            raise ValueError(f"qgemm: out_zero and out_dtype need a scale, got out_zero {out_zero}, out_dtype {out_dtype}")
    else:
        scale = _scale(scale, n)
        dtype = a.dtype if out_dtype is None else _out_dtype(out_dtype)
        out_zero = integer("qgemm", "out_zero", out_zero, *_RANGE[dtype])
    if out is None:
        result = np.empty((m, n), dtype)
    else:
        result = output("qgemm", out, (m, n), dtype, a, None if type(b) is Packed else b, bias,
                        scale if isinstance(scale, np.ndarray) else None,
                        b_zero if isinstance(b_zero, np.ndarray) else None)
    if qgemm.choice == native.NUMPY:
        result[...] = qgemm.reference(a, b.unpack() if type(b) is Packed else b, a_zero=a_zero, b_zero=b_zero,
                                      bias=bias, scale=scale, out_zero=out_zero, out_dtype=dtype)
    else:
        _run(a, b if type(b) is Packed else _pack(b), a_zero, b_zero, bias, scale, out_zero, result)
    return result if out is None else out


def _run(a, b, a_zero, b_zero, bias, scale, out_zero, result):
    lib, ffi, pointer = native.lib, native.ffi, native.pointer
    plan = b.plan
    if plan is None:
        plan = b.plan = ffi.new("nn_qgemm_b *")
        plan.panels, plan.sums = pointer(b.parts["panels"]), pointer(b.parts["sums"])
        plan.k, plan.n = b.shape
        plan.pairs_fit = b.parts["pairs_fit"]
    around = ffi.new("nn_qgemm_around *")
    around.a_signed, around.a_zero = a.dtype is I8, a_zero
    keep = []
    if isinstance(b_zero, np.ndarray) or b_zero:
        b_zero = np.array(np.broadcast_to(b_zero, b.shape[1]), np.int32)
        around.b_zero = pointer(b_zero)
    if bias is not None:
        around.bias = pointer(bias)
    if isinstance(scale, np.ndarray):
        around.scales = pointer(scale)
    elif scale is not None:
        around.scale = scale
    around.out_size = result.itemsize
    if scale is not None:
        around.out_zero = out_zero
        around.low, around.high = _RANGE[result.dtype]
    m = a.shape[0]
    a = readable_rows(a)
    status = lib.nn_qgemm(qgemm.choice, m, 0, m, plan, around, pointer(a), native.stride(a), pointer(result),
                          native.stride(result))
    if status:
        native.check("qgemm", status)


_RANGE = {U8: (0, 255), I8: (-128, 127)}


def _out_dtype(dtype: Any) -> np.dtype:
    wanted = np.dtype(dtype)
    if wanted not in _RANGE:
        raise TypeError(f"qgemm: out_dtype must be uint8 or int8, got {wanted}")
    return wanted


def _column_zeros(b_zero: np.ndarray, n: int) -> np.ndarray:
    b_zero = array("qgemm", "b_zero", b_zero, 1, *(np.dtype(t) for t in "bBhHiIqQ"))
    if b_zero.shape[0] != n or (n and (b_zero.min() < -128 or b_zero.max() > 127)):
        raise ValueError(f"qgemm: b_zero must be {n} numbers in -128..127, got shape {b_zero.shape}, "
                         f"range {b_zero.min(initial=0)}..{b_zero.max(initial=0)}")
    return b_zero.astype(np.int32)


def _scale(scale: Any, n: int) -> float | np.ndarray:
    if isinstance(scale, np.ndarray) and scale.ndim:
        scale = vector("qgemm", "scale", scale, n, F32)
        good = bool(np.all((scale > 0) & (scale < np.inf)))
    else:
        try:
            scale = float(np.float32(scale))
        except (TypeError, ValueError):
            raise TypeError(f"qgemm: scale must be a number or a float32 array, got {type(scale).__name__}") from None
        good = 0 < scale < np.inf
    if not good:
        raise ValueError("qgemm: scale must be positive and finite in float32")
    return scale


def _repack(b: Any, shape: tuple[int, int]) -> Packed:
    return _pack(b)


qgemm.bind(_call, _pack, _unpack, _repack)
