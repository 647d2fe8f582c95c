"""pow2_gemm: 8-bit integers times weights that are 0 or a power of two, by shifts and additions alone."""

from typing import Any

import numpy as np

from .arguments import I8, I32, U8, integer
from .contract import operand
from .kernel import kernel
from .native import from_buffer, lib, strided
from .operand import PANEL, Operand, aligned, from_panels, in_panels
from .requantization import RANGE

NIBBLES = 16     # codes of 4 bits
MINUS_ZERO = 8   # which is none of them: 0 has one code


@kernel(a="u8|s8[M,K] rows", codes=operand("u8[K,N]"), bias="s32[N]?", out="s32[M,N] rows")
def pow2_gemm(a: np.ndarray, codes: np.ndarray, *, a_zero: int = 0, bias: np.ndarray | None = None
              ) -> np.ndarray:
    """(a − a_zero) · W + bias for a (M, K) and W (K, N) of 0, ±1, ±2, ±4, …, ±64 → int32, exact modulo 2³².

    W is given by codes of 4 bits: bit 3 is the sign, bits 2 to 0 are 0 for the weight 0, else its exponent
    plus 1; 8 is no code. (Zhou et al. 2017, incremental network quantization, has such weights.) A product is
    a shift, and no multiplication is made. a_zero is in a's range. `pow2_gemm.pack(codes)` packs two codes
    in a byte.
    """
    # float64 holds every integer up to 2⁵³, so this is exact.
    acc = (a.astype(np.float64) - a_zero) @ powers(codes).astype(np.float64)
    return (acc.astype(np.int64) + (0 if bias is None else bias)).astype(np.int32)  # modulo 2³²


def powers(codes: np.ndarray) -> np.ndarray:
    """The weights that codes stand for, int8: ±2^(t − 1) where the low three bits are t > 0, else 0."""
    return ((1 - 2 * (codes >> 3).astype(np.int16)) * ((1 << (codes & 7).astype(np.int16)) >> 1)).astype(I8)


def _pack(codes: np.ndarray) -> Operand:
    """Panels of 16 columns, two k a byte: panels[p][q][c] has the code of k = 2q in its low half and that of
    2q + 1 in its high half, zeros outside; and how many weights of each column are negative."""
    _all_codes("pow2_gemm", codes)
    k, n = codes.shape
    panels = aligned((-(-n // PANEL), -(-k // 2), PANEL), U8)
    if lib is not None:
        lib.nn_pow2_pack(k, n, *strided(codes), from_buffer(panels))
    else:
        pairs = in_panels(codes, 2)
        panels[...] = pairs[..., 0] | pairs[..., 1] << 4
    negative = aligned((n,), I32)
    negative[...] = (codes > MINUS_ZERO).sum(axis=0)
    return Operand(pow2_gemm, (k, n), panels=panels, negative=negative)


def _unpack(codes: Operand) -> np.ndarray:
    panels = codes.parts["panels"]
    return from_panels(np.stack([panels & 15, panels >> 4], axis=-1), *codes.shape)


def _all_codes(who: str, codes: np.ndarray) -> None:
    if codes.size and (codes.max() >= NIBBLES or (codes == MINUS_ZERO).any()):
        wrong = codes[(codes >= NIBBLES) | (codes == MINUS_ZERO)][0]
        raise ValueError(f"{who}: codes must be in 0..15 and not 8, got {wrong}")


def _plan(who, a_dtype, codes, a_zero) -> None:
    integer(who, "a_zero", a_zero, *RANGE[a_dtype])


def _values(who, codes: Any) -> None:
    if isinstance(codes, np.ndarray):
        _all_codes(who, codes)


pow2_gemm.runs("nn_pow2_gemm(M, N, K, a, a.dtype is int8, a_zero, *codes.c, bias, out)", plan=_plan,
               pack=_pack, unpack=_unpack, values=_values,
               seen_by_c=lambda w: tuple(map(from_buffer, (w.parts["panels"], w.parts["negative"]))))
