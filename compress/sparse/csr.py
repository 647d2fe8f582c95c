"""Compressed sparse rows: for each row its values and their columns, in 16 bits if they fit."""

from collections.abc import Mapping
from math import prod

import numpy as np

from nn.kernels import spmm_csr

from ..stored import Part
from .form import Found, SparseForm, positions_in, rows_of


class SparseWeight(SparseForm):
    """2 or 4 bytes of index a weight, and 4 a row: what its kernel reads as it is."""

    kind = "csr"
    parts = {"values": Part("payload", np.float32, (None,)),
             "indices": Part("indices", (np.uint16, np.int32), (None,)),
             "indptr": Part("tables", np.int32, (None,))}
    kernel = spmm_csr

    @classmethod
    def made(cls, positions: np.ndarray, values: np.ndarray, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        return dict(zip(cls.parts, rows_of(positions, values, shape), strict=True))

    @classmethod
    def symbol_bits(cls, held: Mapping[str, np.ndarray]) -> dict[str, int]:
        return {"indices": 16} if held["indices"].dtype == np.uint16 else {}

    def found(self) -> Found:
        values, indices, indptr = self.rows()
        return positions_in(indices, indptr, prod(self.shape[1:])), values

    def rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return tuple(self.held.values())

    def check(self, who: str) -> None:
        _, _, indptr = self.rows()
        if indptr.shape != (self.shape[0] + 1,):
            raise ValueError(f"{who}: indptr needs shape {(self.shape[0] + 1,)}; got {indptr.shape}")
        self.operand(spmm_csr)  # its kernel looks at the rest
        super().check(who)

    def macs(self) -> int:
        return len(self.held["values"])
