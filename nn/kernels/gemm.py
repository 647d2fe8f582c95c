"""gemm: the float32 matrix product, (M, K) · (K, N) → (M, N)."""

import math
import os

import numpy as np

from .arguments import F32
from .contract import operand
from .kernel import kernel
from .native import NUMPY, from_buffer, has, lib, strided
from .operand import PANEL, Operand, aligned, from_panels, in_panels


@kernel(a="f32[M,K] strided", b=operand("f32[K,N] strided"), out="f32[M,N] rows")
def gemm(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The product a · b of float32 matrices, (M, K) · (K, N) → (M, N).

    b may be packed (`gemm.pack(b)`). Each element is within γ_K · (|a| · |b|), γ_K = K·u / (1 − K·u), u =
    2⁻²⁴, of the exact product (Higham 2002, eq. 3.5).
    """
    return a @ b


def _pack(b: np.ndarray) -> Operand:
    """Panels of 16 columns: panels[p][k][c] = b[k, 16p + c], zero where there is no such column."""
    k, n = b.shape
    panels = aligned((-(-n // PANEL), k, PANEL), F32)
    if lib is not None:
        lib.nn_gemm_pack(k, n, *strided(b), from_buffer(panels))
    else:
        panels[...] = in_panels(b)[..., 0]
    return Operand(gemm, (k, n), panels=panels)


gemm.runs("nn_gemm(M, N, K, a, b.c, out)", unpacked="nn_gemm_packing(M, N, K, a, b, out)", pack=_pack,
          unpack=lambda b: from_panels(b.parts["panels"][..., None], *b.shape))


# Multiply-accumulates for which `gemm` is sooner than NumPy's BLAS: it turns a small b sooner. Longer
# products are worth the several threads that BLAS has, unless this process was started with one for it.
SHORT, LONG = 1 << 18, 1 << 21
if "1" in map(os.environ.get, ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")):
    LONG = 1 << 62


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a @ b, for a of any shape (…, K) and b (K, N), any dtypes: by `gemm` where that is sooner. A batch of
    matrices is one tall one: NumPy would multiply them one by one, a tenth to a fifth slower."""
    if a.ndim > 2 and a.flags.c_contiguous:
        return matmul(a.reshape(math.prod(a.shape[:-1]), a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[1])
    if (SHORT <= a.size * b.shape[1] <= LONG and a.ndim == 2 and a.dtype == b.dtype == F32
            and gemm.choice > NUMPY and has(1)):  # scalar C is slower than BLAS
        return gemm(a, b)
    return a @ b
