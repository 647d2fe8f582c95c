"""A Value is what is known of an array before there is one: dtype, shape, and what its integers stand for."""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nn.sizes import Size, at

from ..formats.format import SMALLEST

LARGEST = 2**31  # numbers of one value for one example: more is a mistake, or an edited file
FLOAT32_MAX = float(np.finfo(np.float32).max)
ONES: Mapping[str, int] = defaultdict(lambda: 1)  # the named lengths of one example
SHORT = {"float16": "f16", "float32": "f32", "float64": "f64", "uint8": "u8", "int8": "s8", "int32": "s32",
         "int64": "s64"}


class ProgramError(ValueError):
    """A Program that makes no sense: it reads what nobody made, shapes do not fit, a call is unknown."""


@dataclass(frozen=True)
class Value:
    """dtype: its name. shape: of ints and Sizes. grid: what the integers stand for; None where they are
    counts or places, and for reals."""

    dtype: str
    shape: tuple[int | Size, ...]
    grid: Any = None

    def __str__(self) -> str:
        fewer = self.grid is not None and self.grid.format.bits < 8  # than the byte that it lies in
        dtype = self.grid.format.name if fewer else SHORT.get(self.dtype, self.dtype)
        said = f"{dtype} ({', '.join(map(str, self.shape))})"
        if self.grid is None:
            return said
        return f"{said} × {self.grid.scale:.4g}" + (f", zero {self.grid.zero}" if self.grid.zero else "")

    def numbers(self, dims: Mapping[str, int] = ONES) -> int:
        """How many numbers it holds where the named lengths are these."""
        return math.prod(at(self.shape, dims))

    def nbytes(self, dims: Mapping[str, int] = ONES) -> int:
        """Their bytes."""
        return self.numbers(dims) * np.dtype(self.dtype).itemsize


def check_grids(who: str, grids: Mapping[str, Any]) -> None:
    """Raise ProgramError where the scale or the zero point of a value's grid is none of its format."""
    for name, grid in grids.items():
        low, high = grid.format.lowest, grid.format.highest
        if not (SMALLEST <= grid.scale <= FLOAT32_MAX and low <= grid.zero <= high):
            raise ProgramError(f"{who}: {name} is on a grid of scale {grid.scale}, zero {grid.zero}; a scale "
                               f"must be positive and finite in float32, a zero point in {low}…{high}")
