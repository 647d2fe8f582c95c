"""Activations whose scale is found inside of the call that reads them: "dynamic" quantization.

    s = max|x| / highest        q = round(x / s)        y = s · s_w · Σ q·w

There is a scale for each row of the matrix that a linear layer multiplies, and for each image that a
convolution slides over: of this very input, so that nothing has to be calibrated, no number is clipped, and
no example depends on the others of its batch. It is symmetric: with zero points that differ from row to row
each row would want a correction of its own. Half of the codes are lost on what is never negative."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from nn.tensor import Tensor, apply, shared

from .affine import Affine
from .format import SMALLEST, Grid, format_named
from .straight_through import STRAIGHT_THROUGH


@dataclass(frozen=True, repr=False)
class Dynamic(Affine):
    """−127…127 of 8 bits, as uint8 around 128, which the kernels of integers take."""

    grouping: str | int = "tensor"
    signed: bool = False

    dynamic = True
    lowest = 1

    @cached_property
    def zero(self) -> int:
        """The code of 0."""
        return 2 ** (self.bits - 1)

    def fit(self, low: float, high: float) -> Grid:
        """The grid of numbers of which the largest |x| is at one of these ends."""
        if not (np.isfinite(low) and np.isfinite(high) and low <= high):
            raise ValueError(f"{self.name}: needs a finite range low <= high; got [{low}, {high}]")
        return Grid(self, float(self.of_rows(np.float32([[low, high]]), (1,))[0, 0]), self.zero)

    def of_rows(self, x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        """The scale of each row of x, which lies along these axes: max|x| / 127 of 8 bits, float32, of
        length 1 along them; 1 for a row of zeros. Raises ValueError for NaN and infinity."""
        largest = np.maximum(x.max(axis=axes, keepdims=True), -x.min(axis=axes, keepdims=True))
        if isinstance(largest, np.ndarray) and not np.isfinite(largest).all():  # (elsewhere a Program looks)
            raise ValueError("holds NaN or infinity; no integer stands for it")
        scales = largest / np.float32(self.zero - 1)
        return np.maximum(scales, scales < SMALLEST)

    def straight_through(self, x: Tensor, op: str) -> Tensor:
        """x as a layer of this op reads it; its gradient is that of x: nothing is clipped."""
        scales = self.of_rows(x.data, axes_of_row(op, x.ndim))
        codes = self.quantize(x.data, scales, self.zero)
        return apply(STRAIGHT_THROUGH, x, shared(self.dequantize(codes, scales, self.zero)))


class InBlocks(Dynamic):
    """Integers with a scale for each block of a row, as the weights have them: `nbit_gemm` makes them."""

    in_blocks = True

    def straight_through(self, x: Tensor, op: str) -> Tensor:
        """x: what becomes of it is known where the blocks are, in the Program."""
        return x


def axes_of_row(op: str, ndim: int) -> tuple[int, ...]:
    """The axes along which lies what has a scale of its own: the last one of "linear", all of an image."""
    return (ndim - 1,) if op == "linear" else tuple(range(1, ndim))


def is_dynamic(format: Any) -> bool:
    """Whether this is a Format of activations whose scales are found inside of a call; None is none."""
    return format is not None and format.dynamic


for bits in range(2, 9):
    Dynamic(f"int{bits}-dynamic", bits=bits)
InBlocks("int8-block", bits=8)

INT8_DYNAMIC = format_named("int8-dynamic")
