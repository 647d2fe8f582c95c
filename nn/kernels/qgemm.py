"""qgemm: the product of 8-bit integer matrices, exact, with zero points and requantisation."""

from typing import Any

import numpy as np

from .arguments import I8, I32, integer
from .contract import Plan, operand
from .kernel import kernel
from .native import NUMPY, ffi, from_buffer, lib, strided
from .operand import PANEL, Operand, aligned, from_panels, in_panels
from .requantization import RANGE, all_positive, around, requantised, result_dtype

CHUNK = 16  # words of an nn_chunk
QUAD = 4  # rows of a packed cell, which with its 16 columns is one 64-byte register


@kernel(a="u8|s8[M,K] rows", b=operand("s8[K,N] strided"), b_zero="number|int[N]", bias="s32[N]?",
        scale="number|f32|f64[N]?", out="s32|u8|s8[M,N] rows")
def qgemm(a: np.ndarray, b: np.ndarray, *, a_zero: int = 0, b_zero: int | np.ndarray = 0,
          bias: np.ndarray | None = None, scale: float | np.ndarray | None = None, out_zero: int = 0,
          out_dtype: Any = None, clip: tuple[int, int] | None = None, rounding: str = "float") -> np.ndarray:
    """The integer product Σ_k (a − a_zero)(b − b_zero) + bias, (M, K) · (K, N) → (M, N); exact modulo 2³².

    a_zero is in a's range, b_zero in −128..127. Without `scale` the result is int32 (ONNX MatMulInteger).
    With scale, positive and finite, it is requantised (ONNX QLinearMatMul; Jacob et al. 2018, eq. 5):
        clamp(round_half_even(float32(acc) · float32(scale)) + out_zero)   as out_dtype, uint8 or int8 (a's)
    to the codes clip = (low, high), or to all that there are. (out_zero, 255) is a ReLU.
    rounding: "float" is that; "fixed-point" multiplies by an integer and shifts, as gemmlowp and TFLite do,
    for scales in 2⁻³²..2²⁹ (nn/kernels/fixed_point.py). It rounds twice: 1 · ¼ is 1 · ½ → 1, and 1/2 → 1.
    The int32 sum can't overflow for K ≤ 33025 (65793 if b_zero is 0), bias aside.
    """
    # float64 holds every integer up to 2⁵³, so this product is exact, and it runs on BLAS.
    acc = (a.astype(np.float64) - a_zero) @ (b.astype(np.float64) - b_zero)
    acc = (acc.astype(np.int64) + (0 if bias is None else bias)).astype(np.int32)  # modulo 2³²
    if scale is None:
        return acc
    return requantised(acc, scale, out_zero, np.dtype(a.dtype if out_dtype is None else out_dtype), clip,
                       rounding)


def _pack(b: np.ndarray) -> Operand:
    """Cells of 16 columns × 4 k: panels[p][q][c][i] = b[4q + i, 16p + c], zero outside b; and column sums.
    largest: of the positive, or of the negative, numbers of a column; 255 times that bounds every sum."""
    k, n = b.shape
    panels = aligned((-(-n // PANEL), -(-k // QUAD), PANEL, QUAD), I8)
    sums = aligned((len(panels) * PANEL,), I32)
    if lib is not None:
        found = ffi.new("int64_t *")
        fold = lib.nn_qgemm_pack(k, n, *strided(b), from_buffer(panels), from_buffer(sums), found)
        largest = found[0]
    else:
        panels[...] = in_panels(b, QUAD)
        sums[...] = panels.sum(axis=(1, 3), dtype=I32).ravel()
        fold = _fold(np.pad(b, ((0, k % 2), (0, 0))))
        positive, negative = np.maximum(b, 0).sum(axis=0, dtype=int), -np.minimum(b, 0).sum(axis=0, dtype=int)
        largest = int(max(positive.max(initial=0), negative.max(initial=0)))
    return Operand(qgemm, (k, n), panels=panels, sums=sums, fold=fold, largest=largest,
                   **_saturating(k, n, panels, fold))


def _saturating(k: int, n: int, panels: np.ndarray, fold: int) -> dict[str, np.ndarray]:
    """The pairs that vpmaddubsw is not exact with, where nothing better may run (csrc/saturated.h)."""
    if fold or lib is None or qgemm.choice <= NUMPY:
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


def _plan(a_dtype, b, a_zero, b_zero, bias, scale, out_zero, out_dtype, clip, rounding) -> Plan:
    """What happens around the sum of products, checked, as C knows it.

    A layer calls with the same zero points, bias and scale again and again: they are checked and handed to C
    once. (What the arrays hold may change in between: C reads them, and looks at the scales, in each call.)
    """
    a_zero = integer("qgemm", "a_zero", a_zero, *RANGE[a_dtype])
    if isinstance(b_zero, np.ndarray) and b_zero.ndim:
        if b[1] and not (b_zero.min() >= -128 and b_zero.max() <= 127):
            raise ValueError(f"qgemm: b_zero must be in -128..127, got {b_zero.min()}..{b_zero.max()}")
        zeros = b_zero.astype(I32)
    elif type(b_zero) is int and not b_zero:
        zeros = None
    else:
        zeros = np.full(b[1], integer("qgemm", "b_zero", b_zero, -128, 127), I32)
    dtype = result_dtype("qgemm", a_dtype, scale, out_dtype)
    plan = around("qgemm", scale, out_zero, clip, rounding, dtype, a_signed=a_dtype is I8, a_zero=a_zero,
                  b_zero=zeros, bias=bias)
    plan.lasting = not isinstance(b_zero, np.ndarray)
    return plan


qgemm.runs("nn_qgemm(M, b.c, plan.c, a, out)", plan=_plan, pack=_pack, seen_by_c=_seen_by_c,
           unpack=lambda b: from_panels(b.parts["panels"], *b.shape), values=all_positive)
