"""A bit for every weight, and the values of those that are not zero."""

from math import prod
from typing import Any

import numpy as np

from nn.kernels import spmm_csr

from ..stored import Part
from .form import Found, SparseForm


class BitmaskWeight(SparseForm):
    """n/8 bytes of mask, whatever the zeros: where every second weight lives nothing takes fewer."""

    kind = "bitmask"
    parts = {"values": Part("payload", np.float32, (None,)), "mask": Part("indices", np.uint8, (None,))}
    kernel = spmm_csr

    @classmethod
    def made(cls, positions: np.ndarray, values: np.ndarray, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        mask = np.zeros(prod(shape), bool)
        mask[positions] = True
        return {"values": values, "mask": np.packbits(mask, bitorder="little")}

    @classmethod
    def symbol_bits(cls, held: Any) -> dict[str, int]:
        return {"mask": 1}

    def check(self, who: str) -> None:
        mask, count, stored = self.held["mask"], prod(self.shape), len(self.held["values"])
        if len(mask) != -(-count // 8) or np.unpackbits(mask).sum() != stored:
            raise ValueError(f"{who}: {len(mask)} bytes of mask do not fit {count} weights, {stored} of them "
                             "not 0")
        super().check(who)

    def found(self) -> Found:
        bits = np.unpackbits(self.held["mask"], bitorder="little")
        return np.flatnonzero(bits), self.held["values"]
