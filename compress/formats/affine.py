"""Integers that stand for reals: real = scale · (integer − zero).

Weights are symmetric, with as many integers on either side: −127…127 of 8 bits, "restricted range", so that
−w is as good as w and no product with −128 overflows (Krishnamoorthi 2018, §3.1). They have a scale for the
tensor, for each output channel, or for each block of a row. Activations are asymmetric, with a scale and a
zero point for the tensor, integers 0…255 of 8 bits (Jacob et al. 2018)."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from nn.kernels import nbit_gemm, qgemm

from .format import SMALLEST, Format, Grid, format_named, largest_scale
from .least_squares import least_squares


class Affine(Format):
    """Integers from `lowest` to `highest`, times a scale, around a zero point."""

    uniform = True

    def __post_init__(self) -> None:
        if self.bits == 1 and self.signed:
            raise ValueError(f"{self.name}: one bit with a sign leaves no number but 0; binary.py has ±scale")
        fits = self.grouping in ("tensor", "channel", *(32 << i for i in range(12)))
        if self.kernel is nbit_gemm and not (self.bits in (2, 3, 4) and fits):
            raise ValueError(f"{self.name}: nbit_gemm multiplies codes of 2, 3 or 4 bits, with a scale for a "
                             f"tensor, a channel or a block of 32, 64, 128, …; got {self.bits!r} bits, "
                             f"{self.grouping!r}")
        super().__post_init__()

    def quantize(self, x: np.ndarray, scale: Any, zero: int = 0) -> np.ndarray:
        """clamp(round_half_even(x / scale) + zero, lowest…highest)."""
        codes = np.rint(x / scale) + np.float32(zero)
        return np.minimum(np.maximum(codes, self.lowest), self.highest).astype(self.dtype)

    def dequantize(self, codes: np.ndarray, scale: Any, zero: int = 0) -> np.ndarray:
        """scale · (code − zero)."""
        return (codes.astype(np.float32) - np.float32(zero)) * scale

    def sums(self, activations: Format) -> Any:
        """`qgemm`, where a scale a column is enough, and a byte for a code; and what convolves the same. With
        activations in blocks the kernel that makes them, `nbit_gemm`."""
        if activations.in_blocks:
            return self.kernel
        bytes_do = max(self.bits, activations.bits) <= 8
        return qgemm if self.grouping in ("tensor", "channel") and bytes_do else None

    def operand(self, kernel: Any, codes: np.ndarray, scales: np.ndarray) -> Any:
        """For `nbit_gemm` codes of few bits, and a scale for each block; a channel is one block."""
        if kernel is not nbit_gemm:
            return super().operand(kernel, codes, scales)
        blocks = scales.T if scales.ndim == 2 else np.broadcast_to(scales, (1, len(codes)))
        return nbit_gemm.pack(codes.T, np.ascontiguousarray(blocks), bits=max(self.bits, 2))

    def told(self, kernel: Any, unpacked: Any, shape: tuple[int, ...]) -> np.ndarray:
        return super().told(kernel, unpacked[0] if kernel is nbit_gemm else unpacked, shape)

    def error(self, w: np.ndarray, scales: Any) -> np.ndarray:
        """Half a step, or what |w| is beyond the largest integer: where that is clipped it may be more. Two
        float32 roundings of at most `highest` steps come on top."""
        scales = np.asarray(scales, np.float64)
        beyond = np.abs(w, dtype=np.float64) - self.highest * scales
        return np.maximum(scales / 2, beyond) + scales * self.highest * 2.0**-23


class Symmetric(Affine):
    """Signed integers around zero, as many on either side: −(2^(bits−1) − 1)…2^(bits−1) − 1."""

    @cached_property
    def lowest(self) -> int:
        return -self.highest

    def fit_groups(self, groups: np.ndarray) -> np.ndarray:
        """max|w| / highest."""
        largest = np.maximum.reduce(np.abs(groups), axis=1, initial=0).astype(np.float32)
        scales = largest / np.float32(self.highest)
        scales = np.clip(scales, np.float32(SMALLEST), largest_scale(self.highest))
        scales[~(largest > 0)] = 1
        return scales

    def fit_squares(self, groups: np.ndarray) -> np.ndarray:
        return least_squares(self, groups, self.fit_groups(groups))


@dataclass(frozen=True, repr=False)
class Asymmetric(Affine):
    """Unsigned integers from the lowest real to the highest, with a zero point between them."""

    grouping: str | int = "tensor"
    signed: bool = False

    def fit(self, low: float, high: float) -> Grid:
        """The finest grid that covers low…high, and 0, which padding and ReLU need as one of its integers."""
        if not (np.isfinite(low) and np.isfinite(high) and low <= high):
            raise ValueError(f"{self.name}: needs a finite range low <= high; got [{low}, {high}]")
        low, high = min(low, 0.0), max(high, 0.0)  # before the scale is chosen
        step = (high - low) / self.highest
        scale = float(np.float32(min(step, float(np.finfo(np.float32).max))))
        if scale < SMALLEST:  # nothing but zeros was seen
            return Grid(self, 1.0, 0)
        zero = min(max(round(-low / scale), 0), self.highest)
        return Grid(self, min(scale, float(largest_scale(max(zero, self.highest - zero)))), zero)


BLOCKS = (32, 64, 128)  # of numbers of a row

for bits in range(1, 9):
    Asymmetric(f"uint{bits}", bits=bits)
for bits in range(2, 9):
    usual, kernel = format_named("uint8"), nbit_gemm if bits <= 4 else None
    Symmetric(f"int{bits}", bits=bits, kernel=kernel, activations=usual)
    Symmetric(f"int{bits}-tensor", bits=bits, grouping="tensor", kernel=kernel, activations=usual)
    for block in BLOCKS:
        Symmetric(f"int{bits}-block{block}", bits=bits, grouping=block, kernel=kernel)

INT8, UINT8 = map(format_named, ("int8", "uint8"))
