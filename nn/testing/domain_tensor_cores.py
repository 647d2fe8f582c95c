"""How far a product by tensor cores may be from the exact one, and the domains of the variants that use them.

What a tensor core does with D = A·B + C of float16 or tf32 is not documented, but was measured (Fasi et al.
2021, "Numerical behavior of NVIDIA tensor cores"; Khattak & Mikaitis 2025, "Accurate models of NVIDIA tensor
cores", up to B200). The products are exact. 4 of them (V100; tf32 on A100), 8 (A100) or more, and the
number of C, are added at once: all are aligned to the largest exponent, and what lies below the last of 24
bits, or one or two further, is cut off. So is what the sum has below 24 bits.

Of one such addition of b products to c, let S be the sum of the absolute values of all b + 1. Each loses less
than a last place of the largest of them, at most 2u·S (u = 2⁻²⁴), and the sum 2u·S again, together
(b + 2)·2u·S. The fewer at once, the more: with b = 4 there are ⌈K/4⌉ additions, in each of which S is at most
|A||B|. So with n = 6·⌈K/4⌉

    |D − AB| ≤ n·2u / (1 − n·2u) · (|A||B|)

about three times γ_K. Additions of nothing but zeros, which fill up k, cut nothing off, since c has 24 bits.
Exponents are those that numbers are written with: a subnormal number counts as the smallest normal one."""

from __future__ import annotations

import numpy as np

from .case import Case
from .domain import TINY, Gemm, U, gamma
from .domain_half import HalfGemmOnDevice, as_floats

AT_ONCE = 4                                # products that are added together, at least
TF32 = 2.0 ** -11                          # unit roundoff of tf32, which has float32's exponents
TINY_TF32 = 2.0 ** -137                    # half of its smallest subnormal
NORMAL_TF32, NORMAL_F16 = 2.0 ** -126, 2.0 ** -14


def lost(a: np.ndarray, b: np.ndarray, normal: float) -> np.ndarray:
    """(M, N) what is lost of the product of numbers of these sizes; normal: their smallest normal one. The
    emulation adds in float64 and rounds once for each mma.sync, which is within γ_K of it."""
    from .. import cuda  # of whose variants one is asked for

    k = len(b)
    if cuda.library().emulated:
        return gamma(k) * (a @ b) + k * TINY
    share = (AT_ONCE + 2) * -(-k // AT_ONCE) * 2 * U
    a, b = (np.where(x > 0, np.maximum(x, normal), 0) for x in (a, b))
    return share / (1 - share) * (a @ b) + 2 * k * TINY


def rounded_to_tf32(x: np.ndarray) -> np.ndarray:
    """float32 with 10 bits of fraction, the nearest, half-way away from zero; NaN and infinity as they
    are."""
    bits = x.view(np.uint32)
    found = (bits + np.uint32(0x1000) & np.uint32(0xffffe000)).view(np.float32)
    return np.where(np.isfinite(x), found, x)


class Tf32Gemm(Gemm):
    """gemm of numbers that are rounded to tf32 first."""

    variants = "gemm_cuda_tf32",

    def bound(self, case: Case) -> np.ndarray:
        """(M, N): what |a|(1 + 2⁻¹¹) + 2⁻¹³⁷, to which rounding may bring |a|, adds; and what is cut off."""
        a, b = (np.abs(x.astype(np.float64)) for x in case.args)
        more_a, more_b = (x * (1 + TF32) + TINY_TF32 for x in (a, b))
        return more_a @ more_b - a @ b + lost(more_a, more_b, NORMAL_TF32)

    def of_rounded(self, case: Case) -> np.ndarray:
        """(M, N) the bound where the arrays are tf32 already."""
        return lost(*(np.abs(x.astype(np.float64)) for x in case.args), NORMAL_TF32)


class HalfGemmOnTensorCores(HalfGemmOnDevice):
    """half_gemm of float16 by float16, mostly: the rest is multiplied elsewhere."""

    variants = "half_gemm_cuda_mma", "half_gemm_cuda_mma_large"
    kinds = (*((np.float16, np.float16),) * 3, (np.float32, np.float16), (np.float16, np.uint16))

    def bound(self, case: Case) -> np.ndarray:
        """(M, N) for float16 by float16; for other numbers that of half_gemm."""
        if not all(x.dtype == np.float16 for x in case.args):
            return super().bound(case)
        return lost(*(np.abs(as_floats(x).astype(np.float64)) for x in case.args), NORMAL_F16)
