"""Once a weight is packed for its kernel, what is stored of it is told from that: it is held once.

An operand is the weight to the bit, but for Winograd's, whose filters move by a rounding. Where it is, the
arrays of the stored form are made from it whenever somebody asks, to save it or to print its bytes.
"""

from collections.abc import Callable, Iterator, Mapping
from copy import copy
from typing import Any

import numpy as np

from nn.kernels import conv2d, depthwise_conv2d, gemm, qgemm, spmm_csr

from ..stored import Stored, from_matrix

__all__ = ["released"]


class _Told(Mapping):
    """The arrays of a stored form: some that are there, others told from an operand."""

    def __init__(self, there: Mapping[str, np.ndarray], told: Callable[[], dict[str, np.ndarray]],
                 names: tuple[str, ...]) -> None:
        self.there = {name: array for name, array in there.items() if name not in names}
        self.names, self.told = tuple(there), told

    def __getitem__(self, name: str) -> np.ndarray:
        return self.there[name] if name in self.there else self.told()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def released(stored: Stored, operand: Any) -> Stored:
    """The stored form without the arrays that its operand tells; itself where it tells none."""
    kernel, shape, names = getattr(operand, "kernel", None), stored.shape, ("values",)
    if stored.kind == "dense" and kernel is gemm:
        def told() -> dict[str, np.ndarray]:
            return {"values": from_matrix(np.ascontiguousarray(operand.unpack().T), shape)}
    elif stored.kind == "dense" and kernel in (conv2d, depthwise_conv2d):
        def told() -> dict[str, np.ndarray]:
            return {"values": operand.unpack().reshape(shape)}
    elif stored.format is not None and stored.kind == stored.format.name and kernel is qgemm:
        def told() -> dict[str, np.ndarray]:
            return {"values": np.ascontiguousarray(operand.unpack().T)}
    elif stored.kind == "csr" and kernel is spmm_csr:
        names = ("values", "indices", "indptr")

        def told() -> dict[str, np.ndarray]:
            return dict(zip(names, operand.unpack(), strict=True))
    else:
        return stored
    twin = copy(stored)
    twin.held = _Told(stored.held, told, names)
    return twin
