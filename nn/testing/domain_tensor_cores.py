"""How far a product by tensor cores may be from the exact one, and the domains of the variants that use them.

What a tensor core does with D = A·B + C of float16 or tf32 is not documented, but was measured (Fasi et al.
2021, "Numerical behavior of NVIDIA tensor cores", §3–4; Khattak & Mikaitis 2025 for later ones): the products
are exact; up to 4 of them (V100) or more and the number of C are added at once, by aligning all to the largest
exponent and cutting off what lies below the last of 24 bits; the sum is cut off to 24 bits again.

One such addition of b products to c, where S is the sum of the absolute values of all b + 1: each is off by
less than a last place of the largest of them, 2u·S at most (u = 2⁻²⁴), and the sum by 2u·S again, together
(b + 2)·2u·S. The fewer at once, the more: with b = 4 there are ⌈K/4⌉ additions, each of at most the sum of
everything, |A||B|. So with n = 6·⌈K/4⌉

    |D − AB| ≤ n·2u / (1 − n·2u) · (|A||B|)

about three times γ_K. Additions of nothing but zeros, which fill up k, cut nothing off: c has 24 bits."""

from __future__ import annotations

import numpy as np

from .case import Case
from .domain import TINY, U, Gemm, gamma
from .domain_half import HalfGemmOnDevice

AT_ONCE = 4                                # products that are added together, at least
TF32 = 2.0 ** -11                          # unit roundoff of tf32, which has float32's exponents
TINY_TF32 = 2.0 ** -137                    # half of its smallest subnormal


def cut_off(k: int) -> float:
    """The share of |A||B| that a product by tensor cores may lose. The emulation adds in float64 and rounds once
    for each multiplication of matrices: its share is γ_k."""
    from .. import cuda  # which only who asks for a variant of the device has imported

    if cuda.library().emulated:
        return gamma(k)
    lost = (AT_ONCE + 2) * -(-k // AT_ONCE) * 2 * U
    return lost / (1 - lost)


def rounded_to_tf32(x: np.ndarray) -> np.ndarray:
    """float32 with 10 bits of fraction, the nearest, half-way away from zero; NaN and infinity as they are."""
    bits = x.view(np.uint32)
    found = (bits + np.uint32(0x1000) & np.uint32(0xffffe000)).view(np.float32)
    return np.where(np.isfinite(x), found, x)


class Tf32Gemm(Gemm):
    """gemm of numbers that are rounded to tf32 first."""

    variants = "gemm_cuda_tf32",

    def bound(self, case: Case) -> np.ndarray:
        """(M, N): rounding makes |a| at most |a|(1 + 2⁻¹¹) + 2⁻¹³⁷; and what the product of such numbers loses."""
        a, b = (np.abs(x.astype(np.float64)) for x in case.args)
        wider = (a * (1 + TF32) + TINY_TF32) @ (b * (1 + TF32) + TINY_TF32)
        k = len(b)
        return wider - a @ b + cut_off(k) * wider + k * 2 * TINY

    def of_rounded(self, case: Case) -> np.ndarray:
        """(M, N) the bound where the arrays are tf32 already."""
        a, b = (np.abs(x.astype(np.float64)) for x in case.args)
        return cut_off(len(b)) * (a @ b) + len(b) * 2 * TINY


class HalfGemmOnTensorCores(HalfGemmOnDevice):
    """half_gemm of float16 by float16, mostly: the rest is multiplied elsewhere."""

    variants = "half_gemm_cuda_mma", "half_gemm_cuda_mma_large"
    kinds = (*((np.float16, np.float16),) * 3, (np.float32, np.float16), (np.float16, np.uint16))

    def bound(self, case: Case) -> np.ndarray:
        """(M, N): products of float16 are never subnormal in float32."""
        a, b = (np.abs(x.astype(np.float64)) for x in self._dense(case).args)
        return np.maximum(cut_off(len(b)) * (a @ b), super().bound(case))
