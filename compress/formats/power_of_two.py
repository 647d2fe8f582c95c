"""Weights that are 0 or ± a power of two, so that a product is a shift (Zhou et al. 2017, "INQ", eq. 1).

A code c stands for 0, or for ±2^(|c| − 1) times a scale which is a power of two itself, one for each output
channel. With b bits |c| goes up to 2^(b−1) − 1: of 4 bits the powers 1, 2 … 64 times the scale."""

from functools import cached_property
from typing import Any

import numpy as np

from nn.kernels import pow2_gemm

from .format import SMALLEST, Format, format_named
from .least_squares import least_squares


class PowerOfTwo(Format):
    """To the nearest: half-way between two powers is 1.5 times the lower (in logarithms it would be √2)."""

    @cached_property
    def lowest(self) -> int:
        return -self.highest

    folds = False  # a factor that is no power of two moves the codes

    def fit_groups(self, groups: np.ndarray) -> np.ndarray:
        """The largest power is the one nearest to max|w|."""
        largest = np.maximum.reduce(np.abs(groups), axis=1, initial=0).astype(np.float64)
        exponent = np.floor(np.log2(np.maximum(largest, SMALLEST) / 1.5)) + 1  # from 1.5·2^e on, 2^(e+1)
        scales = np.exp2(np.minimum(exponent, 127) - (self.highest - 1))  # 2^128 is no float32
        return np.where(largest > 0, np.maximum(scales, SMALLEST), 1).astype(np.float32)

    def fit_squares(self, groups: np.ndarray) -> np.ndarray:
        """Or the half or the quarter of that: powers of two."""
        return least_squares(self, groups, self.fit_groups(groups), parts=(0.5, 0.25), refined=0)

    def quantize(self, x: np.ndarray, scale: Any, zero: int = 0) -> np.ndarray:
        """The code of the nearest value, half-way the larger one; what is out of range gets that at its end.
        """
        sizes = np.abs(x / scale).astype(np.float32)
        rises = np.exp2(np.arange(self.highest, dtype=np.float32)) * np.float32(0.75)
        rises[0] = 0.5  # half-way from 0 to 1, then 1.5, 3, 6 …
        return (np.sign(x) * np.searchsorted(rises, sizes, side="right")).astype(self.dtype)

    def dequantize(self, codes: np.ndarray, scale: Any, zero: int = 0) -> np.ndarray:
        """± 2^(|code| − 1) · scale, and 0 of 0."""
        return np.sign(codes) * np.exp2(np.abs(codes).astype(np.float32) - np.float32(1)) * scale

    def error(self, w: np.ndarray, scales: Any) -> np.ndarray:
        """Half a step: of the value's own size, at least that of 1; what is out of range, more."""
        scales = np.asarray(scales, np.float64)
        sizes = np.abs(w, dtype=np.float64)
        return np.maximum(np.maximum(sizes / 3, scales / 2), sizes - 2.0 ** (self.highest - 1) * scales)

    def at_least(self, scales: np.ndarray, least: np.ndarray) -> np.ndarray:
        """Powers of two again."""
        return np.exp2(np.ceil(np.log2(super().at_least(scales, least)))).astype(np.float32)

    def sums(self, activations: Format) -> Any:
        """`pow2_gemm`: shifts and additions, of codes of 4 bits."""
        return None if activations.in_blocks or self.bits > 4 else pow2_gemm

    def operand(self, kernel: Any, codes: np.ndarray, scales: np.ndarray) -> Any:
        """For `pow2_gemm` the sign in the bit above the others."""
        if kernel is not pow2_gemm:
            return super().operand(kernel, codes, scales)
        return pow2_gemm.pack((np.abs(codes) | (codes < 0) << 3).astype(np.uint8).T)

    def told(self, kernel: Any, unpacked: Any, shape: tuple[int, ...]) -> np.ndarray:
        if kernel is not pow2_gemm:
            return super().told(kernel, unpacked, shape)
        return np.where(unpacked >> 3, -(unpacked & 7).astype(np.int8), unpacked & 7).T.astype(np.int8)

    def multipliers(self, codes: np.ndarray) -> np.ndarray:
        """± 2^(|code| − 1), int8."""
        return (np.sign(codes) * (1 << np.maximum(np.abs(codes).astype(int) - 1, 0))).astype(np.int8)

    def codes_of(self, multipliers: np.ndarray) -> np.ndarray:
        size = np.abs(multipliers.astype(int))
        return (np.sign(multipliers) * (np.frexp(size)[1])).astype(np.int8)  # 2^e = ½ · 2^(e + 1)


POW2 = PowerOfTwo("pow2", bits=4, activations=format_named("uint8"))
