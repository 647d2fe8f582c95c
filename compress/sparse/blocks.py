"""Blocks of 4 or 8 rows and one column: one index for several weights."""

from __future__ import annotations

from math import prod
from typing import Any, ClassVar

import numpy as np

from nn.kernels import spmm_bsr

from ..stored import Part
from .form import Found, SparseForm, blocks_at, values_at
from .gaps import GAPS, checked_positions, gaps_of, positions_of


class _Blocks(SparseForm, abstract=True):
    """The blocks that are not all zero, and the gaps between them, block row after block row; numbers beyond
    the last row of the weight are 0."""

    height: ClassVar[int]
    kernel = spmm_bsr

    @classmethod
    def made(cls, positions: np.ndarray, values: np.ndarray, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        at, blocks = blocks_at(positions, values, prod(shape[1:]), cls.height)
        width, gaps = gaps_of(at)
        return {"blocks": blocks, "gaps": gaps, "width": np.array([width], np.uint8)}

    @classmethod
    def symbol_bits(cls, held: Any) -> dict[str, int]:
        return {"gaps": int(held["width"][0])}

    def check(self, who: str) -> None:
        columns, blocks = prod(self.shape[1:]), self.held["blocks"]
        at = checked_positions(who, self.held, -(-self.shape[0] // self.height) * columns)
        if len(at) != len(blocks) or not blocks.any(axis=1).all():
            raise ValueError(f"{who}: its gaps lead to {len(at)} blocks, {len(blocks)} are stored, none of "
                             "which may be all 0")
        super().check(who)

    def found(self) -> Found:
        at = positions_of(int(self.held["width"][0]), self.held["gaps"])
        return values_at(at, self.held["blocks"], prod(self.shape[1:]))

    def macs(self) -> int:
        return self.held["blocks"].size


class FourRows(_Blocks):
    """4 × 1."""

    kind, height = "bsr4", 4
    parts = {"blocks": Part("payload", np.float32, (None, 4)), **GAPS}


class EightRows(_Blocks):
    """8 × 1."""

    kind, height = "bsr8", 8
    parts = {"blocks": Part("payload", np.float32, (None, 8)), **GAPS}
