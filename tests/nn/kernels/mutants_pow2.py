"""Wrong products with powers of two, under the law that must kill each; they join MUTANTS."""

from __future__ import annotations

import numpy as np

from nn.kernels import pow2_gemm
from nn.kernels.pow2_gemm import powers
from nn.testing import laws_pow2
from tests.nn.kernels.mutants import arguments, output


@output(laws_pow2.equals_the_product_of_integers, pow2_gemm)
def takes_the_exponent_for_what_the_code_says(y, a, codes, **options):
    """2 to the power of t, where t − 1 is meant."""
    return (y.astype(np.int64) * 2).astype(np.int32)


@output(laws_pow2.negates_with_the_sign, pow2_gemm)
def forgets_that_a_complement_is_one_less(y, a, codes, **options):
    return y - (codes > 8).sum(axis=0).astype(np.int32)


@arguments(laws_pow2.negates_with_the_sign, pow2_gemm)
def has_no_signs(a, codes, **options):
    return (a, codes & 7), options


@arguments(laws_pow2.doubles_with_the_exponent, pow2_gemm)
def knows_exponents_up_to_5(a, codes, **options):
    return (a, np.where(codes & 7 == 7, codes - 1, codes).astype(np.uint8)), options


@output(laws_pow2.wraps_modulo_2_32, pow2_gemm)
def saturates_in_32_bits(y, a, codes, a_zero=0, bias=None):
    exact = (a.astype(np.int64) - a_zero) @ powers(codes).astype(np.int64)
    return np.clip(exact + (0 if bias is None else bias), -2**31, 2**31 - 1).astype(np.int32)


@arguments(laws_pow2.shifts_the_zero_point, pow2_gemm)
def forgets_the_zero_point(a, codes, **options):
    return (a, codes), {**options, "a_zero": 0}
