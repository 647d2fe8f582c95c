"""half_gemm: a matrix of float32 or float16 times one of 16-bit floats, float16 or bfloat16."""

import numpy as np

from .arguments import F16, U16
from .contract import operand
from .kernel import kernel
from .native import from_buffer, lib, strided
from .operand import PANEL, Operand, aligned, from_panels, in_panels


def floats_of(b: np.ndarray) -> np.ndarray:
    """float32 of float16; or of bfloat16, which is the upper half of a float32, as uint16. Both exact."""
    if b.dtype == F16:
        return b.astype(np.float32)
    return (b.astype(np.uint32) << 16).view(np.float32)


@kernel(a="f32|f16[M,K] rows", b=operand("f16|u16[K,N] strided"), out="f32[M,N] rows")
def half_gemm(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The product a · b, (M, K) · (K, N) → float32 (M, N), of a and of b that stays 16-bit floats.

    b is float16; or bfloat16, for which NumPy has no name, as the uint16 with its bits. a is float32, or
    float16. What is 16 bits is made into float32, which is exact, and the sums are float32: each element is
    within γ_K · (|a| · |b|) of the exact product, as that of `gemm`. Variants with FMA give the bits of
    `gemm` with both as float32. b may be packed (`half_gemm.pack(b)`), 2 bytes a number.

    On a GPU float16 times float16 is what its tensor cores multiply (nn/cuda/kernels/half_gemm.py), whose
    sums may be off by three times as much (nn/testing/domain_tensor_cores.py).
    """
    wide = floats_of(a) if a.dtype == F16 else a
    return (wide @ floats_of(b)).astype(wide.dtype, copy=False)


def _pack(b: np.ndarray) -> Operand:
    """Panels of 16 columns of bits: panels[p][k][c] = b[k, 16p + c], zero where there is no such column."""
    k, n = b.shape
    panels = aligned((-(-n // PANEL), k, PANEL), U16)
    if lib is not None:
        lib.nn_half_pack(k, n, *strided(b), from_buffer(panels))
    else:
        panels[...] = in_panels(b.view(U16))[..., 0]
    return Operand(half_gemm, (k, n), panels=panels, bfloat=b.dtype == U16)


def _unpack(b: Operand) -> np.ndarray:
    bits = from_panels(b.parts["panels"][..., None], *b.shape)
    return bits if b.parts["bfloat"] else bits.view(F16)


half_gemm.runs("nn_half_gemm(M, N, K, a, a.dtype is F16, *b.c, out)", pack=_pack, unpack=_unpack,
               seen_by_c=lambda b: (from_buffer(b.parts["panels"]), b.parts["bfloat"]))
