"""Shared weights whose values are integers of int8 times one scale: for activations of int8.

The products of integers are what the hardware multiplies fastest, and a value takes a byte of the file. A
factor for each output channel, as a folded batch norm has, goes into its scale: the integers stay shared."""

from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from nn.kernels import codebook_gemm, qgemm
from nn.kernels.codebook_gemm import NIBBLES
from nn.kernels.nbit_gemm import quantized

from ..formats.format import format_named
from ..stored import Part, Stored, from_matrix, per_channel
from .shared import EXPANDS, PrunedSharedWeight, SharedWeight

INT8 = format_named("int8")  # of the values
TABLES = {"codebook": Part("tables", INT8.dtype, (None,)), "scale": Part("tables", np.float32, (None,))}


class _Integers(Stored, abstract=True):
    """A codebook of int8, and one scale, or one of any sign for each output channel.

    Products want positive scales, so a sign is given to the integers of its channel, and with the scale 0
    these are 0."""

    most = INT8.most

    @cached_property
    def scale(self) -> np.ndarray:
        """That of each channel, positive: where it is stored as 0 it is 1."""
        scale = self.held["scale"]
        return np.resize(np.where(scale == 0, np.float32(1), np.abs(scale)), self.shape[0])

    def check(self, who: str) -> None:
        super().check(who)
        codebook, scale = self.held["codebook"].astype(int), self.held["scale"]
        if np.abs(codebook).max(initial=0) != self.most and codebook.any():
            raise ValueError(f"{who}: the largest of a codebook of integers is ±{self.most}, unless all are "
                             f"0; got {codebook.min()}…{codebook.max()}")
        if len(scale) not in (1, self.shape[0]):
            raise ValueError(f"{who}: scale must be one number or {self.shape[0]}; got {len(scale)}")

    def codebook(self) -> np.ndarray:
        """The integers that the codes name, int8."""
        return self.held["codebook"]

    def integers(self) -> np.ndarray:
        """The shared values as they are, int8 (out, in)."""
        return self.codebook()[self.codes()]

    def multipliers(self) -> np.ndarray:
        """The integers by which they multiply, int8 (out, in): weight = scale · integer."""
        return self.integers() * np.sign(self.held["scale"]).astype(INT8.dtype)[:, None]

    def decode(self) -> np.ndarray:
        return times(from_matrix(self.integers(), self.shape), self.held["scale"])

    def kernel_with(self, activations: Any) -> Any:
        """With int8 codes of 4 bits, which are half of the bytes; those of 8 bits are no fewer than the
        integers themselves. Convolutions, and channels of both signs, want the integers."""
        if activations is None:
            return self.kernel
        coded = len(self.codebook()) <= NIBBLES and len(self.shape) == 2 and (self.held["scale"] > 0).all()
        return codebook_gemm if coded else qgemm

    def operand(self, kernel: Any = None) -> Any:
        """For `codebook_gemm` the codes, and the integers as floats, which it rounds to themselves: the
        largest is the largest of int8. For `qgemm` the integers."""
        if kernel is qgemm:
            return qgemm.pack(self.multipliers().T)
        return codebook_gemm.pack(self.codes(), self.codebook().astype(np.float32))

    def macs(self) -> int:
        return prod(self.shape)


class SharedIntegers(_Integers, SharedWeight):
    """SharedWeight with such a codebook."""

    kind = "shared-int8"
    parts = {"codes": SharedWeight.parts["codes"], **TABLES}


class PrunedSharedIntegers(_Integers, PrunedSharedWeight):
    """PrunedSharedWeight with such a codebook; what multiplies has the zeros again."""

    kind = "pruned-shared-int8"
    parts = {**PrunedSharedWeight.parts, **TABLES}
    kernel = codebook_gemm
    rescales, skips = True, False

    def check(self, who: str) -> None:
        """Its codes have a byte for each weight: a small file can't ask for many."""
        if prod(self.shape) > EXPANDS * self.nbytes:
            raise ValueError(f"{who}: it has {self.nbytes} bytes, too few for so many weights")
        super().check(who)

    def codebook(self) -> np.ndarray:
        """Behind the others stands that of the pruned."""
        return np.append(self.held["codebook"], INT8.dtype(0))

    def codes(self) -> np.ndarray:
        """The codes as the matrix (out, in), uint8."""
        codes = np.full(prod(self.shape), len(self.held["codebook"]), np.uint8)
        positions, found = self.placed()
        codes[positions] = found
        return codes.reshape(self.shape[0], -1)


INTEGERS = SharedIntegers, PrunedSharedIntegers


def as_integers(codebook: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The integers that stand for the numbers of a codebook, int8, and their scale (1,): as `codebook_gemm`
    rounds them."""
    integers, scale = quantized(codebook[None], len(codebook))
    return integers[0].astype(INT8.dtype), scale[0]


def times(integers: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """integers · scale, of all or of each row, float32; no −0."""
    return integers.astype(np.float32) * per_channel(scale, integers.ndim) + np.float32(0)
