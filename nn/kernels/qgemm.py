"""qgemm: the product of 8-bit integer matrices, exact, with zero points and requantisation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import empty, ndarray

from .arguments import I8, I32, READABLE, U8, array, inner, output, readable_rows, usual
from .around import Around
from .kernel import kernel
from .native import NUMPY, check, ffi, from_buffer, lib, rows, strided
from .packed import Packed, aligned, packed_elsewhere

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
        clamp(round_half_even(float32(acc) · float32(scale)) + out_zero)   as out_dtype, uint8 or int8 (a's)
    `out` takes the result: right dtype, inner stride 1, sharing no memory with an input.
    The int32 sum can't overflow for K ≤ 33025 (65793 if b_zero is 0), bias aside.
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
    # Clamping before rounding is the same, since the bounds are integers, and can't lose bits to a large sum.
    return (np.rint(np.clip(scaled, low - out_zero, high - out_zero)) + out_zero).astype(dtype)


def _pack(b: np.ndarray) -> Packed:
    """Cells of 16 columns × 4 k: panels[p][q][c][i] = b[4q + i, 16p + c], zero outside b; and column sums."""
    b = array("qgemm.pack", "b", b, 2, I8)
    k, n = b.shape
    width, quads = -(-n // PANEL), -(-k // QUAD)
    zeros = lib is None   # C writes all of it
    panels = aligned((width, quads, PANEL, QUAD), I8, zeros)
    sums = aligned((width * PANEL,), I32, zeros)
    if lib is not None:
        fit = bool(lib.nn_qgemm_pack(k, n, *strided(b), from_buffer(panels), from_buffer(sums)))
    else:
        padded = np.zeros((quads * QUAD, width * PANEL), I8)
        padded[:k, :n] = b
        panels[...] = padded.reshape(quads, QUAD, width, PANEL).transpose(2, 0, 3, 1)
        sums[...] = padded.sum(axis=0, dtype=I32)
        fit = _pairs_fit(padded)
    return Packed(qgemm, (k, n), panels=panels, sums=sums, pairs_fit=fit)


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
    dtype = a.dtype if type(a) is ndarray else None
    if (dtype is not U8 and dtype is not I8) or a.ndim != 2:
        a = array("qgemm", "a", a, 2, U8, I8)
        dtype = a.dtype
    packed = type(b) is Packed
    if not packed:
        b = array("qgemm", "b", b, 2, I8)
    elif b.kernel is not qgemm:
        raise packed_elsewhere("qgemm", "b", b)
    m, k = a.shape
    k_b, n = b.shape
    if k != k_b:
        raise inner("qgemm", "a", a.shape, "b", b.shape)

    # A layer calls with the same zero points, bias and scale again and again. They are checked and handed to
    # C once and pinned to its packed b; to find that they are the same objects takes 0.1 µs. (What the arrays
    # hold may change in between: C reads them anew, and looks at the scales, in each call.)
    around = b.pinned if packed else None
    if around is None or not (
            bias is around.bias and scale is around.scale and out_zero is around.out_zero
            and out_dtype is around.out_dtype and a_zero is around.a_zero and b_zero is around.b_zero
            and dtype is around.a_dtype):
        around = Around(n, dtype, a_zero, b_zero, bias, scale, out_zero, out_dtype)
        if packed and around.lasting:
            b.pinned = around
    choice = qgemm.choice
    ready = a.flags.num & READABLE == READABLE   # C can take it as it lies, and the result too
    if out is None:
        result = empty((m, n), around.dtype)
    elif ready and packed and choice != NUMPY and around.lasting and usual(out, (m, n), around.dtype):
        result = out
    else:
        result = output("qgemm", out, (m, n), around.dtype, a, b, b_zero, bias, scale)
        ready = False

    if choice == NUMPY:
        result[...] = qgemm.reference(a, b.unpack() if packed else b, **around.checked())
        return result if out is None else out
    if not packed:
        b = _pack(b)
    if b.plan is None:
        b.plan = _plan(b)
    if ready:   # as below, 0.4 µs sooner
        status = lib.nn_qgemm(choice, m, b.plan, around.c, from_buffer(a), k, from_buffer(result), n)
    else:
        status = lib.nn_qgemm(choice, m, b.plan, around.c, *rows(readable_rows(a)), *rows(result))
    if status:
        around.checked()   # says which scale is bad, if it is that
        check("qgemm", status)
    return result if out is None else out


def _plan(b: Packed) -> Any:
    """b as C knows it."""
    plan = ffi.new("nn_qgemm_b *")
    plan.panels, plan.sums = ffi.from_buffer(b.parts["panels"]), ffi.from_buffer(b.parts["sums"])
    plan.k, plan.n = b.shape
    plan.pairs_fit = b.parts["pairs_fit"]
    return plan


def _repack(b: Any, shape: tuple[int, int]) -> Packed:
    return _pack(b)


qgemm.bind(_call, _pack, _unpack, _repack)
