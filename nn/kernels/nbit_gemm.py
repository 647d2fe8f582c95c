"""nbit_gemm: a float32 matrix times one of 2-, 3- or 4-bit codes with a scale for each block of K."""

from typing import Any

import numpy as np

from .arguments import F32, I8, U8, array, integer
from .contract import Plan, operand
from .kernel import kernel
from .native import ffi, from_buffer
from .operand import LINE, PANEL, Operand, aligned, from_panels, in_panels

ACTIVATIONS = ("float32", "int8")
BITS = (2, 3, 4)
UNIT = 32  # k that are packed together, and the shortest block
LONGEST = 2**16  # the longest block: 127 · 15 of them are far from the ends of int32
QUAD, CELLS = 4, UNIT // 4  # a cell has four k of 16 columns, 64 bytes if they were bytes; cells of a unit
LEAST = 2.0**-119  # of a block of activations: 127 / LEAST, and LEAST / 127 with all its digits, are float32


@kernel(a="f32[M,K] rows", codes=operand("s8[K,N]", ("scales", "zeros")), scales="f32[blocks,N]",
        zeros="s8[blocks,N]?", out="f32[M,N] rows")
def nbit_gemm(a: np.ndarray, codes: np.ndarray, scales: np.ndarray, zeros: np.ndarray | None = None, *,
              activations: str = "float32") -> np.ndarray:
    """a · W for a float32 (M, K) and W (K, N) of 2 to 4 bits → float32 (M, N); ONNX MatMulNBits.

    W[k, n] = scales[k // block, n] · (codes[k, n] − zeros[k // block, n]), codes and zeros in −8..7; without
    zeros they are 0. The block is 32, 64, 128, … or all of K: the first that has as many blocks as there are
    rows of scales; K need not be a multiple. `nbit_gemm.pack(codes, scales, zeros, bits=None)` checks them
    once, and keeps `bits` of a code: 4, 3 (−4..3) or 2 (−2..1), the fewest that hold them if not given.

    activations: "float32": each element is within γ_{K+1} · (|a| · |W|). "int8": each block of a row of a is
    rounded to integers q = round_half_even(a · (127 / s)), s the largest |a| in the block (below 2⁻¹¹⁹: 0);
        out = Σ over blocks, in order, of float32(Σ_k q · (codes − zeros)) · (s / 127 · scales)
    the inner sum exact, all else in float32, so that every machine has the same bits. Rounding moves an
    element by at most s / 254 · Σ_k |W| a block. NaN and infinity, for which no integer stands, raise.
    """
    a = a.astype(np.result_type(a, scales), copy=False)
    block = block_of(len(codes), len(scales))
    whole = codes.astype(F32) if zeros is None else codes - _each_k(zeros.astype(F32), block, len(codes))
    if activations == "float32":
        return a @ (whole * _each_k(scales, block, len(codes)))
    q, s = quantized(a, block)
    y = np.zeros((len(a), codes.shape[1]), a.dtype)
    with np.errstate(over="ignore", invalid="ignore"):  # 0 · ∞, where a scale of W is infinity
        for b in range(len(scales)):
            here = slice(b * block, (b + 1) * block)
            dots = q[:, here].astype(np.float64) @ whole[here]  # exact: these are integers below 2⁵³
            y += dots.astype(a.dtype) * (s[:, b, None] * scales[b])
    return y


def block_of(k: int, blocks: int) -> int:
    """The length of a block: the first of 32, 64, 128, … that cuts K into so many; 0 if none does."""
    block = UNIT
    while block < LONGEST and -(-k // block) > blocks:
        block *= 2
    return block if -(-k // block) == blocks else 0


def quantized(a: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    """The integers q (M, K) that stand for rows of a, and their scales (M, ⌈K / block⌉): a ≈ q · scale."""
    m, k = a.shape
    blocks = -(-k // block)
    padded = np.zeros((m, blocks * block), a.dtype)
    padded[:, :k] = a
    padded = padded.reshape(m, blocks, block)
    largest = np.abs(padded).max(axis=2, initial=0)
    some = largest >= LEAST
    inverse = np.divide(a.dtype.type(127), largest, where=some, out=np.zeros_like(largest))
    q = np.rint(padded * inverse[..., None]).reshape(m, blocks * block)
    return q[:, :k], np.where(some, largest / a.dtype.type(127), a.dtype.type(0))


def _each_k(x: np.ndarray, block: int, k: int) -> np.ndarray:
    """The rows of x, one for each block, repeated for each k."""
    return np.repeat(x, block, axis=0)[:k]


def _pack(who: str, a: Any, codes: Any = None, scales: Any = None, zeros: Any = None, bits: Any = None
          ) -> Operand:
    """Panels of 16 columns. A unit of a panel, 32 k, is `bits` lines of 64 bytes, of what csrc/nbit.h says;
    the codes and zeros in it are 2^(bits−1) more than given, so that none is negative. K ends with codes of
    a 0, and what they are multiplied with is 0."""
    codes, scales = array(who, "codes", codes, 2, I8), array(who, "scales", scales, 2, F32)
    (k, n), blocks = codes.shape, len(scales)
    block = block_of(k, blocks)
    if scales.shape[1] != n:
        raise ValueError(f"{who}: scales and codes must agree in N, got shapes {scales.shape} and {(k, n)}")
    if not block:
        counts = dict.fromkeys(str(-(-k // (UNIT << i))) for i in range((LONGEST // UNIT).bit_length()))
        raise ValueError(f"{who}: scales must have as many rows as K = {k} has blocks of 32, 64, 128, …: "
                         f"{' or '.join(counts)}, got {blocks}")
    if zeros is not None:
        zeros = array(who, "zeros", zeros, 2, I8)
        if zeros.shape != scales.shape:
            raise ValueError(f"{who}: zeros must have shape {scales.shape}, like scales, got {zeros.shape}")
    bits = _bits(who, bits, codes, zeros)
    middle = 1 << bits - 1
    width = -(-n // PANEL)
    parts = {"codes": _lines(codes + I8.type(middle), bits), "scales": aligned((width, blocks, PANEL), F32)}
    parts["scales"][...] = in_panels(scales)[..., 0]
    if zeros is not None and zeros.any():
        parts["zeros"] = aligned((width, blocks, PANEL), U8)
        parts["zeros"][...] = in_panels((zeros + I8.type(middle)).astype(U8))[..., 0]
    return Operand(nbit_gemm, (k, n), **parts, bits=bits, block=block)


def _bits(who: str, bits: Any, codes: np.ndarray, zeros: np.ndarray | None) -> int:
    """How many bits each code takes: as many as asked for, or the fewest that hold all codes and zeros."""
    if bits is not None:
        bits = integer(who, "bits", bits, BITS[0], BITS[-1])
    for name, x in ("codes", codes), ("zeros", zeros):
        if x is None or not x.size:
            continue
        low, high, most = int(x.min()), int(x.max()), 1 << (bits or BITS[-1]) - 1
        if low < -most or high >= most:
            raise ValueError(f"{who}: {name} must be in {-most}..{most - 1}"
                             f"{f', which {bits} bits hold' * bool(bits)}, got {low}..{high}")
    if bits is not None:
        return bits
    ends = [(int(x.min()), int(x.max())) for x in (codes, zeros) if x is not None and x.size] or [(0, 0)]
    return next(b for b in BITS if all(-(1 << b - 1) <= low and high < 1 << b - 1 for low, high in ends))


def _lines(codes: np.ndarray, bits: int) -> np.ndarray:
    """Codes (K, N), none negative, as lines (⌈N/16⌉, ⌈K/32⌉, bits, 64)."""
    k, n = codes.shape
    padded = np.full((-(-k // UNIT) * UNIT, n), 1 << bits - 1, U8)
    padded[:k] = codes.view(U8)
    cells = in_panels(padded, QUAD).reshape(-(-n // PANEL), len(padded) // UNIT, CELLS, LINE)
    lines = aligned((*cells.shape[:2], bits, LINE), U8)
    for cell in range(CELLS):
        if bits == 4:
            lines[:, :, cell // 2] |= cells[:, :, cell] << 4 * (cell % 2)
        else:
            lines[:, :, cell // 4] |= (cells[:, :, cell] & 3) << 2 * (cell % 4)
            if bits == 3:
                lines[:, :, 2] |= cells[:, :, cell] >> 2 << cell
    return lines


def _unpack(w: Operand) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes, scales and zeros (0s where there were none)."""
    (k, n), bits, lines = w.shape, w.parts["bits"], w.parts["codes"]
    cells = np.empty((*lines.shape[:2], CELLS, LINE), U8)
    for cell in range(CELLS):
        if bits == 4:
            cells[:, :, cell] = lines[:, :, cell // 2] >> 4 * (cell % 2) & 15
        else:
            cells[:, :, cell] = lines[:, :, cell // 4] >> 2 * (cell % 4) & 3
            if bits == 3:
                cells[:, :, cell] |= (lines[:, :, 2] >> cell & 1) << 2
    middle = I8.type(1 << bits - 1)
    cells = cells.reshape(len(lines), lines.shape[1] * CELLS, PANEL, QUAD)
    codes = from_panels(cells, k, n).view(I8) - middle
    blocks = w.parts["scales"].shape[1]
    scales = from_panels(w.parts["scales"][..., None], blocks, n)
    if "zeros" not in w.parts:
        return codes, scales, np.zeros(scales.shape, I8)
    return codes, scales, from_panels(w.parts["zeros"][..., None], blocks, n).view(I8) - middle


def _seen_by_c(w: Operand) -> Any:
    k, n = w.shape
    parts = {name: from_buffer(part) if isinstance(part, np.ndarray) else part
             for name, part in w.parts.items()}
    return ffi.new("nn_nbit_b *", {**parts, "k": k, "n": n, "units": w.parts["codes"].shape[1],
                                   "blocks": w.parts["scales"].shape[1]})


def _plan(who, codes, activations) -> Plan:
    if activations not in ACTIVATIONS:
        raise ValueError(f"{who}: activations must be {' or '.join(map(repr, ACTIVATIONS))}, "
                         f"got {activations!r}")
    return Plan(c=int(activations == "int8"))


def _finite(who: str, a: Any, activations: Any) -> None:
    if activations == "int8" and not np.isfinite(a).all():
        raise ValueError(f"{who}: a holds NaN or infinity; no integer stands for it")


nbit_gemm.runs("nn_nbit_gemm(M, codes.c, plan.c, a, out)", plan=_plan, values=_finite, pack=_pack,
               unpack=_unpack, seen_by_c=_seen_by_c)
