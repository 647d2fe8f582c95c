"""qgemm: the product of 8-bit integer matrices, exact, with zero points and requantisation."""

from typing import Any

import numpy as np

from .arguments import I8, I32, U8, integer, number
from .contract import Plan, operand
from .kernel import kernel
from .native import NUMPY, ffi, from_buffer, lib, strided
from .operand import PANEL, Operand, aligned, from_panels, in_panels

CHUNK = 16  # words of an nn_chunk
QUAD = 4  # rows of a packed cell, which with its 16 columns is one 64-byte register
RANGE = {U8: (0, 255), I8: (-128, 127)}
OWN = {dtype: dtype for dtype in RANGE}  # of equal dtypes the object that is compared by identity


@kernel(a="u8|s8[M,K] rows", b=operand("s8[K,N] strided"), b_zero="number|int[N]", bias="s32[N]?",
        scale="number|f32[N]?", out="s32|u8|s8[M,N] rows")
def qgemm(a: np.ndarray, b: np.ndarray, *, a_zero: int = 0, b_zero: int | np.ndarray = 0,
          bias: np.ndarray | None = None, scale: float | np.ndarray | None = None, out_zero: int = 0,
          out_dtype: Any = None) -> np.ndarray:
    """The integer product Σ_k (a − a_zero)(b − b_zero) + bias, (M, K) · (K, N) → (M, N); exact modulo 2³².

    a_zero is in a's range, b_zero in −128..127. Without `scale` the result is int32 (ONNX MatMulInteger).
    With scale, positive and finite, it is requantised (ONNX QLinearMatMul; Jacob et al. 2018, eq. 5):
        clamp(round_half_even(float32(acc) · float32(scale)) + out_zero)   as out_dtype, uint8 or int8 (a's)
    The int32 sum can't overflow for K ≤ 33025 (65793 if b_zero is 0), bias aside.
    """
    # float64 holds every integer up to 2⁵³, so this product is exact, and it runs on BLAS.
    acc = (a.astype(np.float64) - a_zero) @ (b.astype(np.float64) - b_zero)
    acc = (acc.astype(np.int64) + (0 if bias is None else bias)).astype(np.int32)  # modulo 2³²
    if scale is None:
        return acc
    return requantised(acc, scale, out_zero, np.dtype(a.dtype if out_dtype is None else out_dtype))


def requantised(acc: np.ndarray, scale: float | np.ndarray, out_zero: int, dtype: np.dtype) -> np.ndarray:
    """clamp(round_half_even(float32(acc) · float32(scale)) + out_zero), as uint8 or int8."""
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    with np.errstate(over="ignore"):  # infinity is clamped like any other large number
        scaled = acc.astype(np.float32) * np.float32(scale)
    # Clamping before rounding is the same, since the bounds are integers, and can't lose bits to a large sum.
    return (np.rint(np.clip(scaled, low - out_zero, high - out_zero)) + out_zero).astype(dtype)


def _pack(b: np.ndarray) -> Operand:
    """Cells of 16 columns × 4 k: panels[p][q][c][i] = b[4q + i, 16p + c], zero outside b; and column sums."""
    k, n = b.shape
    panels = aligned((-(-n // PANEL), -(-k // QUAD), PANEL, QUAD), I8)
    sums = aligned((len(panels) * PANEL,), I32)
    if lib is not None:
        fold = lib.nn_qgemm_pack(k, n, *strided(b), from_buffer(panels), from_buffer(sums))
    else:
        panels[...] = in_panels(b, QUAD)
        sums[...] = panels.sum(axis=(1, 3), dtype=I32).ravel()
        fold = _fold(np.pad(b, ((0, k % 2), (0, 0))))
    return Operand(qgemm, (k, n), panels=panels, sums=sums, fold=fold, **_saturating(k, n, panels, fold))


def _saturating(k: int, n: int, panels: np.ndarray, fold: int) -> dict[str, np.ndarray]:
    """The pairs that vpmaddubsw is not exact with, where nothing better may run (csrc/saturated.h)."""
    if fold or lib is None or qgemm.choice == NUMPY:
        return {}
    first = np.zeros(len(panels) + 1, I32)
    of = qgemm.choice, k, n, from_buffer(panels), from_buffer(first)
    chunks = aligned((lib.nn_qgemm_saturating(*of, ffi.NULL), CHUNK), I32)
    if not len(chunks):
        return {}
    lib.nn_qgemm_saturating(*of, from_buffer(chunks))
    return {"chunks": chunks, "first": first}


def _fold(b: np.ndarray) -> int:
    """How many pairs of products of uint8 a with neighbouring rows of b may be added in 16 bits, for every a;
    0 if not even one fits. A pair lies between 255·(b₀⁺ + b₁⁺) and −255·(b₀⁻ + b₁⁻), and 255·128 < 2¹⁵ <
    255·129, so it is 128 divided by the largest of these sums."""
    pairs = b.reshape(b.shape[0] // 2, 2, b.shape[1]).astype(np.int16)
    positive, negative = np.maximum(pairs, 0).sum(axis=1), np.maximum(-pairs, 0).sum(axis=1)
    return int(128 // max(positive.max(initial=1), negative.max(initial=1)))


def _seen_by_c(b: Operand) -> Any:
    parts = {name: from_buffer(part) if isinstance(part, np.ndarray) else part
             for name, part in b.parts.items()}
    return ffi.new("nn_qgemm_b *", {**parts, "k": b.shape[0], "n": b.shape[1]})


def _plan(a_dtype, b, a_zero, b_zero, bias, scale, out_zero, out_dtype) -> Plan:
    """What happens around the sum of products, checked, as C knows it.

    A layer calls with the same zero points, bias and scale again and again: they are checked and handed to C
    once. (What the arrays hold may change in between: C reads them, and looks at the scales, in each call.)
    """
    a_zero, low, high = integer("qgemm", "a_zero", a_zero, *RANGE[a_dtype]), 0, 0
    if isinstance(b_zero, np.ndarray) and b_zero.ndim:
        if b[1] and not (b_zero.min() >= -128 and b_zero.max() <= 127):
            raise ValueError(f"qgemm: b_zero must be in -128..127, got {b_zero.min()}..{b_zero.max()}")
        zeros = b_zero.astype(I32)
    elif type(b_zero) is int and not b_zero:
        zeros = None
    else:
        zeros = np.full(b[1], integer("qgemm", "b_zero", b_zero, -128, 127), I32)
    if scale is None:
        dtype = I32
        if out_dtype is not None and (came := _dtype(out_dtype)) != I32:
            raise ValueError(f"qgemm: without scale out_dtype is int32, got {came}")
        integer("qgemm", "out_zero without scale", out_zero, 0, 0)
    else:
        scale = positive("qgemm", scale) if not isinstance(scale, np.ndarray) or not scale.ndim else scale
        dtype = a_dtype if out_dtype is None else _dtype(out_dtype)
        if dtype not in RANGE:
            raise TypeError(f"qgemm: out_dtype must be uint8 or int8, got {dtype}")
        low, high = RANGE[dtype]
        out_zero = integer("qgemm", "out_zero", out_zero, low, high)
    if ffi is None:
        return Plan((), dtype)
    vectors = {"b_zero": zeros, "bias": bias, "scales": scale}  # whose buffers the struct points to
    kept = {name: from_buffer(x) for name, x in vectors.items() if isinstance(x, np.ndarray)}
    c = ffi.new("nn_qgemm_around *", {
        "a_signed": a_dtype is I8, "a_zero": a_zero, "scale": scale if isinstance(scale, float) else 0,
        "out_size": dtype.itemsize, "out_zero": out_zero, "low": low, "high": high, **kept})
    return Plan((), dtype, c, kept, lasting=not isinstance(b_zero, np.ndarray))


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


def all_positive(who: str, scale: Any) -> None:
    """Raise if a scale is a vector with a number that is not positive and finite, and say which."""
    if isinstance(scale, np.ndarray) and scale.ndim:
        good = (scale > 0) & (scale < np.inf)
        if not good.all():
            raise ValueError(f"{who}: every scale must be positive and finite, got {scale[~good][0]} "
                             f"at column {int(np.argmin(good))}")


def _dtype(dtype: Any) -> np.dtype:
    """A dtype, as the object of `RANGE` where it is one of those."""
    try:
        return OWN.get(found := np.dtype(dtype), found)
    except TypeError:
        raise TypeError(f"qgemm: out_dtype must be uint8 or int8, got {dtype!r}") from None


qgemm.runs("nn_qgemm(M, b.c, plan.c, a, out)", plan=_plan, pack=_pack, seen_by_c=_seen_by_c,
           unpack=lambda b: from_panels(b.parts["panels"], *b.shape), values=all_positive)
