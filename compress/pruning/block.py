"""Blocks of a weight's matrix: what a kernel reads with one index (Elsen et al. 2020, "Fast sparse ConvNets",
prune 4 output channels together)."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from ..stored import from_matrix
from .pattern import Pattern


@dataclass(frozen=True)
class Block(Pattern, name=r"(\d+)x(\d+)"):
    """Blocks of so many `rows` and `columns` of the weight as the matrix (out, in) that multiplies, whose
    columns are in the order kH, kW, I: "4x1" is one input of four outputs. Where they do not divide the
    matrix, the last ones are shorter. Raises ValueError for a side of 0."""

    rows: int
    columns: int

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1:
            raise ValueError(f"Prune: a block has rows and columns, at least 1 each; got {self!r}")

    def labels(self, shape: tuple[int, ...]) -> np.ndarray:
        out, width = shape[0], prod(shape[1:])
        rows, columns = np.arange(out) // min(self.rows, out), np.arange(width) // min(self.columns, width)
        return from_matrix(rows[:, None] * -(-width // self.columns) + columns, shape)

    def groups(self, shape: tuple[int, ...]) -> int:
        return -(-shape[0] // self.rows) * -(-prod(shape[1:]) // self.columns)

    def __repr__(self) -> str:
        return f"'{self.rows}x{self.columns}'"
