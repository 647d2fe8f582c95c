"""Once a weight is packed for its kernel, what is stored of it is told from that: it is held once.

An operand is the weight to the bit, but for Winograd's, whose filters move by a rounding. Where it is, the
arrays of the stored form are made from it whenever somebody asks, to save it or to print its bytes."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..stored import Stored


class _Told(Mapping):
    """The arrays of a stored form: those that are there, and those that its operand tells."""

    def __init__(self, stored: Stored, operand: Any, told: Mapping[str, Any]) -> None:
        self.there = {name: None if name in told else array for name, array in stored.held.items()}
        self.told, self.operand, self.shape = told, operand, stored.shape

    def __getitem__(self, name: str) -> np.ndarray:
        array = self.there[name]
        return self.told[name](self.operand.unpack(), self.shape) if array is None else array

    def __iter__(self) -> Iterator[str]:
        return iter(self.there)

    def __len__(self) -> int:
        return len(self.there)


def released(stored: Stored, operand: Any = None) -> Stored:
    """The stored form without the arrays that its operand tells; itself where it tells none."""
    kernel = getattr(operand, "kernel", None)
    told = {} if kernel is None else stored.told(kernel)
    if not told:
        return stored
    twin = type(stored).__new__(type(stored))
    vars(twin).update(vars(stored), held=_Told(stored, operand, told))
    return twin
