"""A Value is what is known of an array before there is one: dtype, shape, and what its integers stand for."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from nn.sizes import Size, names_in

__all__ = ["LARGEST", "ProgramError", "Value", "shape_from_json"]

LARGEST = 2**31  # numbers of one value for one example: more is a mistake, or an edited file
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
        said = f"{SHORT.get(self.dtype, self.dtype)} ({', '.join(map(str, self.shape))})"
        if self.grid is None:
            return said
        return f"{said} × {self.grid.scale:.4g}" + (f", zero {self.grid.zero}" if self.grid.zero else "")

    def numbers(self) -> int:
        """How many numbers it holds for one example, every named length being 1."""
        lengths = dict.fromkeys(names_in(self.shape), 1)
        return math.prod(size.at(lengths) if isinstance(size, Size) else size for size in self.shape)

    def nbytes(self, dims: dict[str, int]) -> int:
        """Bytes where the named lengths are these."""
        numbers = math.prod(size.at(dims) if isinstance(size, Size) else size for size in self.shape)
        return numbers * np.dtype(self.dtype).itemsize


def shape_from_json(said: Any, what: str) -> tuple[int | Size, ...]:
    """A shape as JSON has it, ints and texts of Sizes. Raises ProgramError for anything else."""
    if not isinstance(said, list):
        raise ProgramError(f"{what}: not a shape: {said!r:.80}")
    return tuple(_length(size, what) for size in said)


def _length(said: Any, what: str) -> int | Size:
    if type(said) is int and 0 < said < 2**31:
        return said
    try:
        size = Size(said) if type(said) is str and len(said) < 200 else None
        if size is not None and names_in(size) and abs(size.at(dict.fromkeys(names_in(size), 1))) < 2**31:
            return size
    except ValueError:
        pass
    raise ProgramError(f"{what}: not a length: {said!r:.80}")
