"""2:4, as sparse tensor cores read it (Mishra et al. 2021): of every four neighbours two are stored."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from nn.kernels import spmm_nm

from ..formats.bits import check_bits, pack_bits, unpack_bits
from ..stored import Part
from .form import Found, SparseForm


class TwoOfFour(SparseForm):
    """Half of the values, and 2 bits of each that say where it was: 0.53 of the bytes. Where fewer than two
    of four are not zero, zeros fill up, the first that there are."""

    kind = "2:4"
    parts = {"values": Part("payload", np.float32, ("out", None)),
             "places": Part("indices", np.uint8, (None,))}
    kernel = spmm_nm

    @classmethod
    def fits(cls, positions: np.ndarray, shape: tuple[int, ...]) -> bool:
        return not prod(shape[1:]) % 4 and np.bincount(positions // 4, minlength=1).max() <= 2

    @classmethod
    def made(cls, positions: np.ndarray, values: np.ndarray, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        matrix = np.zeros(prod(shape), np.float32)
        matrix[positions] = values
        of_four = matrix.reshape(-1, 4)
        places = np.sort(np.argsort(of_four == 0, axis=1, kind="stable")[:, :2], axis=1)
        return {"values": np.take_along_axis(of_four, places, axis=1).reshape(shape[0], -1),
                "places": pack_bits(places, 2)}

    @classmethod
    def symbol_bits(cls, held: Any) -> dict[str, int]:
        return {"places": 2}

    def check(self, who: str) -> None:
        wanted = (self.shape[0], prod(self.shape[1:]) // 2)
        if prod(self.shape[1:]) % 4 or self.held["values"].shape != wanted:
            raise ValueError(f"{who}: 2 of 4 in {self.shape[0]} rows of {prod(self.shape[1:])} are not "
                             f"{self.held['values'].shape} values")
        check_bits(who, self.held["places"], 2, prod(wanted), 4)
        super().check(who)

    def found(self) -> Found:
        values = self.held["values"].ravel()
        places = unpack_bits(self.held["places"], 2, len(values))
        positions = np.repeat(np.arange(len(values) // 2), 2) * 4 + places
        there = values != 0
        return positions[there], values[there]

    def kernel_with(self, activations: Any) -> Any:
        """Its own: what it saves is memory."""
        return None if activations is not None else spmm_nm

    def convolved_with(self, dense: float) -> Any:
        return spmm_nm

    def macs(self) -> int:
        return self.held["values"].size
