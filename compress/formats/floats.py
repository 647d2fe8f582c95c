"""Floats of few bits: a sign, e bits of exponent, m of fraction.

    exponent field E    fraction field F    stands for                        bias = 2^(e−1) − 1
    0                   F                   ± F · 2^(1 − bias − m)            subnormal numbers, and ±0
    1 …                 F                   ± (2^m + F) · 2^(E − bias − m)

float16 (5, 10), bfloat16 (8, 7) and float8_e5m2 (5, 2) keep the last E for infinity and NaN (IEEE 754-2019,
§3.4); float8_e4m3fn (4, 3) has no infinity, and one NaN of each sign, the last code (Micikevicius et al.
2022, "FP8 formats for deep learning", table 1). A weight is neither: what is too large becomes the largest
number (saturation), where IEEE's conversion would give infinity.

float16 and bfloat16 stand for themselves, without a scale. Where a batch norm is folded into their layer, its
factors become a scale for each output channel: multiplied into the numbers, they would be rounded again, and
small ones lose their digits. The floats of 8 bits always have a scale for each output channel, which brings
its largest weight to their largest number."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from nn.kernels import half_gemm

from .format import SMALLEST, Format, largest_scale


@dataclass(frozen=True, repr=False)
class Float(Format):
    """exponent, fraction: bits of each; infinite: whether the last exponent stands for infinity and NaN.

    A code is its bits, as an unsigned integer: the sign, then the exponent, then the fraction."""

    signed: bool = False
    exponent: int = 0
    fraction: int = 0
    infinite: bool = True

    @cached_property
    def bias(self) -> int:
        return 2 ** (self.exponent - 1) - 1

    @cached_property
    def last(self) -> int:
        """The code of the largest finite number: those behind it are infinity and NaN."""
        codes = 2 ** (self.bits - 1) - 1
        return codes - 2**self.fraction if self.infinite else codes - 1

    @cached_property
    def largest(self) -> np.float32:
        """The largest finite number."""
        return self.reals(np.array([self.last], self.dtype))[0]

    def exponents(self, sizes: np.ndarray) -> np.ndarray:
        """e of 2^e <= size < 2^(e+1), at least that of the subnormal numbers: there neighbours are 2^(e − m)
        apart."""
        _, above = np.frexp(sizes)
        return np.where(sizes > 0, np.maximum(above - 1, 1 - self.bias), 1 - self.bias)

    def nearest(self, x: np.ndarray) -> np.ndarray:
        """The codes of float32 numbers: rounded once, half-way to the even code, and what lies beyond the
        largest number to that, infinity too. Raises ValueError for NaN, which no weight is."""
        x = np.asarray(x, np.float32)
        if np.isnan(x).any():
            raise ValueError(f"{self.name}: NaN has no code among the finite numbers")
        sizes = np.minimum(np.abs(x), self.largest).astype(np.float64)  # in which all of this is exact
        exponents = self.exponents(sizes)
        counts = np.rint(np.ldexp(sizes, self.fraction - exponents)).astype(np.int64)
        # Of a normal number the count is 2^m + F, and exponent + bias is E; of a subnormal one F, and that is
        # 1. In both the code is (E − 1) · 2^m + count, and so it is where rounding carries into the next E.
        codes = (exponents + self.bias - 1) * 2**self.fraction + counts
        return (codes | np.signbit(x).astype(np.int64) << (self.bits - 1)).astype(self.dtype)

    def reals(self, codes: np.ndarray) -> np.ndarray:
        """What codes stand for, float32, which holds each exactly; the signs of zero and NaN too."""
        codes = codes.astype(np.int64)
        exponents = codes >> self.fraction & 2**self.exponent - 1
        fractions = codes & 2**self.fraction - 1
        counts = np.where(exponents > 0, 2**self.fraction + fractions, fractions).astype(np.float64)
        sizes = np.ldexp(counts, np.maximum(exponents, 1) - self.bias - self.fraction)
        above = codes & 2 ** (self.bits - 1) - 1
        infinity = self.last + 1 if self.infinite else -1
        sizes = np.where(above > self.last, np.where(above == infinity, np.inf, np.nan), sizes)
        return np.copysign(sizes, np.where(codes >> self.bits - 1, -1.0, 1.0)).astype(np.float32)

    # The hooks of a Format: real = number · scale

    def fit_groups(self, groups: np.ndarray) -> np.ndarray:
        """max|w| / largest number."""
        most = np.maximum.reduce(np.abs(groups), axis=1, initial=0).astype(np.float32)
        scales = np.clip(most / self.largest, np.float32(SMALLEST), largest_scale(self.largest))
        return np.where(most > 0, scales, np.float32(1))

    def quantize(self, x: np.ndarray, scale: Any, zero: int = 0) -> np.ndarray:
        """The codes nearest to x / scale, which is rounded to float32 before, if there is a scale. A zero has
        no sign: it has one code, and a pruned weight stays the same."""
        with np.errstate(over="ignore"):
            codes = self.nearest(x / scale)
        return np.where(codes == 2 ** (self.bits - 1), self.dtype(0), codes)

    def dequantize(self, codes: np.ndarray, scale: Any, zero: int = 0) -> np.ndarray:
        return self.reals(codes) * scale

    def error(self, w: np.ndarray, scales: Any) -> np.ndarray:
        """Half a step between neighbours there, but no more than the weight, since 0 is among them; or what
        is beyond the largest; and, where there is a scale, two float32 roundings."""
        scales = np.asarray(scales, np.float64)
        sizes = np.abs(w, dtype=np.float64) / scales
        step = np.ldexp(1.0, self.exponents(np.minimum(sizes, float(self.largest))) - self.fraction)
        rounding = np.where(scales == 1, 0.0, sizes * 2.0**-23 + 2.0**-149 / scales)
        return scales * (np.maximum(np.minimum(step / 2, sizes), sizes - float(self.largest)) + rounding)

    def check_packed(self, who: str, packed: np.ndarray, count: int) -> None:
        super().check_packed(who, packed, count)
        beyond = packed & self.dtype(2 ** (self.bits - 1) - 1) > self.last
        if beyond.any():
            raise ValueError(f"{who}: code {packed[beyond].flat[0]:#x} is infinity or NaN")


@dataclass(frozen=True, repr=False)
class Half(Float):
    """Of 16 bits, which `half_gemm` multiplies. known: the dtype that these numbers have in NumPy; where it
    has none, the kernel is given their bits."""

    bits: int = 16
    grouping: str | int = "none"
    kernel: Any = half_gemm
    known: Any = np.uint16

    rescales = folds = True

    def spread(self, scales: np.ndarray, shape: tuple[int, ...]) -> Any:
        return scales.reshape(-1, *[1] * (len(shape) - 1)) if scales.size else np.float32(1)

    def rescaled(self, scales: np.ndarray, factor: np.ndarray) -> np.ndarray:
        """The factors: divided by them, a weight rounds to the number that it was before. (float32 has
        digits enough.)"""
        before = scales if scales.size else np.float32(1)
        return np.maximum(before * np.abs(factor), SMALLEST).astype(np.float32)

    def multipliers(self, codes: np.ndarray) -> np.ndarray:
        """The numbers as `half_gemm` reads them."""
        return codes.view(self.known)

    def codes_of(self, multipliers: np.ndarray) -> np.ndarray:
        """The inverse of `multipliers`."""
        return multipliers.view(self.dtype)


FLOAT16 = Half("float16", exponent=5, fraction=10, known=np.float16)
BFLOAT16 = Half("bfloat16", exponent=8, fraction=7)
FLOAT8_E4M3FN = Float("float8_e4m3fn", bits=8, exponent=4, fraction=3, infinite=False)
FLOAT8_E5M2 = Float("float8_e5m2", bits=8, exponent=5, fraction=2)
