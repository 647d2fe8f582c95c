"""Wrong half_gemm, under the law that must kill each; they join MUTANTS."""

from __future__ import annotations

import numpy as np

from nn.kernels import half_gemm
from nn.kernels.half_gemm import floats_of
from nn.testing import laws, laws_float
from tests.nn.kernels.mutants import arguments, output


def changing_float16(change):
    """Arguments of which a b of float16 has its bits changed."""
    def changed(a, b):
        return (a, change(b.view(np.uint16)).view(np.float16) if b.dtype == np.float16 else b), {}
    changed.__name__ = change.__name__
    return changed


@arguments(laws.permutes, half_gemm)
def forgets_the_last_of_an_odd_number(a, b):
    k = len(b) // 2 * 2
    return (a[:, :k], b[:k]), {}


@arguments(laws_float.reads_every_half, half_gemm)
@changing_float16
def takes_subnormal_numbers_for_zero(bits):
    return np.where(bits & 0x7c00, bits, bits & 0x8000)


@arguments(laws_float.reads_every_half, half_gemm)
@changing_float16
def has_no_infinity(bits):
    return np.where(bits & 0x7fff == 0x7c00, bits - np.uint16(1), bits)


@arguments(laws_float.is_exact_on_small_integers, half_gemm)
def cuts_bfloat16_to_six_bits(a, b):
    return (a, b & np.uint16(0xfffc) if b.dtype == np.uint16 else b), {}


@arguments(laws.equals_specification, half_gemm)
def takes_bfloat16_for_float16(a, b):
    return (a, b.view(np.float16)), {}


@arguments(laws_float.propagates_nan_and_infinity, half_gemm)
@changing_float16
def makes_infinity_of_nan(bits):
    return np.where(bits & 0x7c00 == 0x7c00, bits & 0xfc00, bits)


@arguments(laws_float.reads_every_half, half_gemm)
def cuts_an_a_of_float16_to_ten_bits(a, b):
    return (a if a.dtype == np.float32 else (a.view(np.uint16) & np.uint16(0xfffe)).view(np.float16), b), {}


@arguments(laws.equals_specification, half_gemm)
def reads_a_of_float16_as_bfloat16(a, b):
    return (a if a.dtype == np.float32 else floats_of(a.view(np.uint16)), b), {}


@output(laws.equals_specification, half_gemm)
def sums_in_half_precision(y, a, b):
    with np.errstate(over="ignore"):
        return y.astype(np.float16).astype(np.float32)
