"""Whole columns: those of the matrix (out, in) that are not all zero, as pruning by shape leaves them."""

from math import prod
from typing import Any

import numpy as np

from nn.kernels import spmm_bsr

from ..stored import Part
from .cost import columns_at
from .form import Found, SparseForm, in_columns


class ColumnsWeight(SparseForm):
    """A bit for every column, and all numbers of those that are not all 0 (Wen et al. 2016, shape-wise)."""

    kind = "columns"
    parts = {"values": Part("payload", np.float32, (None, None)), "mask": Part("indices", np.uint8, (None,))}
    kernel = spmm_bsr

    @classmethod
    def made(cls, positions: np.ndarray, values: np.ndarray, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        every = prod(shape[1:])
        columns = columns_at(positions, shape)
        mask = np.zeros(every, bool)
        mask[columns] = True
        kept = np.zeros((shape[0], len(columns)), np.float32)
        row, column = np.divmod(positions, max(every, 1))
        kept[row, np.searchsorted(columns, column)] = values
        return {"values": kept, "mask": np.packbits(mask, bitorder="little")}

    @classmethod
    def symbol_bits(cls, held: Any) -> dict[str, int]:
        return {"mask": 1}

    def check(self, who: str) -> None:
        mask, values, every = self.held["mask"], self.held["values"], prod(self.shape[1:])
        bits = np.unpackbits(mask, bitorder="little")
        if len(mask) != -(-every // 8) or bits[every:].any() or values.shape != (self.shape[0], bits.sum()):
            raise ValueError(f"{who}: {len(mask)} bytes of mask and values of shape {values.shape} do not "
                             f"fit {self.shape[0]} rows of {every} columns")
        super().check(who)

    def found(self) -> Found:
        columns = np.flatnonzero(np.unpackbits(self.held["mask"], bitorder="little"))
        return in_columns(self.held["values"], columns, self.shape)
