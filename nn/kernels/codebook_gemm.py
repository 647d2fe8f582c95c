"""codebook_gemm: a float32 matrix times the transpose of one whose entries are codes into a codebook."""

from typing import Any

import numpy as np

from .arguments import F32, U8, array
from .contract import Plan, operand
from .kernel import kernel
from .native import NUMPY, from_buffer, lib, strided
from .nbit_gemm import ACTIVATIONS, quantized
from .operand import LINE, PANEL, Operand, aligned, from_panels, in_panels

NIBBLES = 16  # floats of a codebook whose codes are packed to 4 bits; others take 8
LONGEST = 2**17  # K with int8 activations: so many products of 127 · 127 fit into int32
QUAD = 4  # k of a cell, which has a byte for each k of 16 columns


@kernel(x="f32[M,K] rows", indices=operand("u8[N,K]", ("codebook",)), codebook="f32[size]",
        out="f32[M,N] rows")
def codebook_gemm(x: np.ndarray, indices: np.ndarray, codebook: np.ndarray, *, activations: str = "float32"
                  ) -> np.ndarray:
    """x · Wᵀ for x float32 (M, K) and W = codebook[indices] (N, K) → float32 (M, N).

    The codebook has 1 to 256 numbers (Han, Mao & Dally 2016, §3). `codebook_gemm.pack(indices, codebook)`
    checks them once, and keeps 4 bits an index where it has at most 16, else 8. A dense W is never built.

    activations: "float32": each element is within γ_K · (|x| · |W|ᵀ); variants with FMA give the bits of
    `gemm` with the dense W. "int8": each row of x is rounded to integers q = round_half_even(x · (127 / s)),
    s the largest |x| in the row (below 2⁻¹¹⁹: 0), and so is the codebook, to integers p, by the largest of
    its numbers, t;
        out = float32(Σ_k q · p[indices]) · (s / 127 · (t / 127))
    the sum exact, all else in float32, so that every machine has the same bits. Rounding moves an element by
    at most s / 254 · Σ_k |W| + t / 254 · Σ_k |q · s / 127|. NaN and infinity, for which no integer stands,
    raise.
    """
    if activations == "float32":
        return x @ codebook[indices].T
    (q, s), (p, t) = quantized(x, max(x.shape[1], 1)), quantized(codebook[None], len(codebook))
    sums = q.astype(np.float64) @ p[0].astype(np.float64)[indices].T  # exact: these are integers below 2⁵³
    with np.errstate(over="ignore", invalid="ignore"):
        return sums.astype(x.dtype) * (s * t if s.size else x.dtype.type(0))


def pays(n: int, k: int, size: int) -> bool:
    """Whether W (N, K) should stay codes into a codebook of so many numbers, rather than floats for `gemm`.

    Codes of 4 bits should: they take an eighth of the memory. Those of 8 bits, a quarter, should where a row
    is faster so: where this machine looks them up fast (AVX-512 VBMI) and W is larger than a cache. A model
    says that (csrc/codebook.c), nothing is timed."""
    if size <= NIBBLES:
        return True
    choice = codebook_gemm.choice
    return lib is not None and choice > NUMPY and bool(lib.nn_codebook_pays(choice, n, k, size))


def _pack(who: str, x: Any, indices: Any, codebook: Any) -> Operand:
    """Panels of 16 rows of W. A line is a cell of four k, codes[p][q][4c + i] = indices[16p + c, 4q + i], or
    of 4 bits two cells, the second in the high halves of its bytes."""
    indices = array(who, "indices", indices, 2, U8)
    codebook = array(who, "codebook", codebook, 1, F32)
    if not 1 <= len(codebook) <= 256:
        raise ValueError(f"{who}: codebook must have 1 to 256 numbers, got {len(codebook)}")
    if len(codebook) < 256 and indices.size and indices.max() >= len(codebook):
        raise ValueError(f"{who}: indices must be in 0..{len(codebook) - 1}, got {indices.max()}")
    n, k = indices.shape
    nibbles = len(codebook) <= NIBBLES
    codes = aligned((-(-n // PANEL), -(-k // (2 * QUAD if nibbles else QUAD)), LINE), U8)
    if lib is not None:
        lib.nn_codebook_pack(n, k, *strided(indices), len(codebook), from_buffer(codes))
    else:
        cells = in_panels(indices.T, QUAD).reshape(len(codes), -(-k // QUAD), LINE)
        codes[...] = cells if not nibbles else cells[:, ::2]
        if nibbles:
            codes[:, :cells.shape[1] // 2] |= cells[:, 1::2] << 4
    table = aligned((NIBBLES if nibbles else 256,), F32)
    table[:len(codebook)] = codebook
    return Operand(codebook_gemm, (n, k), codes=codes, codebook=table, nibbles=nibbles, size=len(codebook))


def _unpack(packed: Operand) -> tuple[np.ndarray, np.ndarray]:
    (n, k), (codes, codebook, nibbles, size) = packed.shape, packed.parts.values()
    cells = np.stack([codes & 15, codes >> 4] if nibbles else [codes], axis=2)
    panels = cells.reshape(len(codes), cells.shape[1] * cells.shape[2], PANEL, QUAD)
    return np.ascontiguousarray(from_panels(panels, k, n).T), codebook[:size].copy()


def _plan(who, x, activations) -> Plan:
    if activations not in ACTIVATIONS:
        raise ValueError(f"{who}: activations must be {' or '.join(map(repr, ACTIVATIONS))}, "
                         f"got {activations!r}")
    int8 = activations == "int8"
    return Plan(c=None if int8 and x[1] > LONGEST else int(int8))


def _finite(who: str, x: Any, indices: Any, codebook: Any, activations: Any) -> None:
    if isinstance(indices, Operand):
        codebook = indices.parts["codebook"]
    for name, numbers in ("x", x), ("codebook", codebook):
        if activations == "int8" and not np.isfinite(numbers).all():
            raise ValueError(f"{who}: {name} holds NaN or infinity; no integer stands for it")


def _seen_by_c(w: Operand) -> tuple:
    return from_buffer(w.parts["codes"]), from_buffer(w.parts["codebook"]), w.parts["size"]


codebook_gemm.runs("nn_codebook_gemm(M, N, K, x, *indices.c, plan.c, out)", plan=_plan, values=_finite,
                   pack=_pack, unpack=_unpack, seen_by_c=_seen_by_c)
