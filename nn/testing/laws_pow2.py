"""The laws of pow2_gemm alone: what its codes mean."""

from __future__ import annotations

import numpy as np

from ..kernels import qgemm
from ..kernels.pow2_gemm import powers
from .case import Case
from .laws import LAWS, Implementation, obeys, same


def equals_the_product_of_integers(f: Implementation, case: Case) -> None:
    """The weights 0, ±1, ±2, …, ±64 as int8 give the same integers: qgemm's."""
    a, codes = case.args
    want = qgemm.reference(a, powers(codes), **case.options)
    same(f(case), want, "against qgemm with the same weights")


def negates_with_the_sign(f: Implementation, case: Case) -> None:
    """Bit 3 turned over in all codes but that of 0 negates the product, modulo 2³² and but for the bias."""
    a, codes = case.args
    plain = {name: v for name, v in case.options.items() if name != "bias"}
    turned = np.where(codes, codes ^ 8, codes).astype(np.uint8)
    same(f(Case((a, turned), plain)), -f(Case((a, codes), plain)), "with all signs turned over")


def doubles_with_the_exponent(f: Implementation, case: Case) -> None:
    """An exponent more doubles what is neither 0 nor ±64 yet."""
    a, codes = case.args
    plain = {name: v for name, v in case.options.items() if name != "bias"}
    small = np.where(codes & 7 == 7, codes - 1, codes).astype(np.uint8)
    larger = np.where(small, small + 1, small).astype(np.uint8)
    same(f(Case((a, larger), plain)), 2 * f(Case((a, small), plain)), "with all exponents one larger")


def wraps_modulo_2_32(f: Implementation, case: Case) -> None:
    """A bias at the ends of int32 makes the sum wrap around, and never saturate."""
    n, rng = f.domain.shape(case)[2], case.rng()
    bias = rng.choice(np.array([2**31 - 1, -2**31, 2**31 - 1000, -2**31 + 1000], np.int32), n)
    plain = case.on(*case.args, bias=None)
    want = (f(plain).astype(np.int64) + bias).astype(np.int32)
    same(f(case.on(*case.args, bias=bias)), want, "with a bias at the ends of int32")


def shifts_the_zero_point(f: Implementation, case: Case) -> None:
    """f(A + 1, a_zero + 1) = f(A, a_zero): only the differences count."""
    a, codes = case.args
    top = int(np.iinfo(a.dtype).max) - 1
    a, zero = np.minimum(a, top), min(case.options.get("a_zero", 0), top)
    want = f(case.on(a, codes, a_zero=zero))
    same(f(case.on(a + a.dtype.type(1), codes, a_zero=zero + 1)), want, "A and a_zero both up by 1")


obeys("pow2_gemm", *LAWS, equals_the_product_of_integers, negates_with_the_sign, doubles_with_the_exponent,
      wraps_modulo_2_32, shifts_the_zero_point)
