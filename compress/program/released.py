"""Once a weight is packed for its kernel, what is stored of it is told from that: it is held once.

An operand is the weight to the bit, but for Winograd's, whose filters move by a rounding. Where it is, the
arrays of the stored form are made from it whenever somebody asks, to save it or to print its bytes."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nn.kernels import (
    codebook_gemm,
    conv2d,
    depthwise_conv2d,
    gemm,
    spmm_csr,
    tt_matmul,
    winograd_conv2d,
)

from ..formats.bits import pack_bits
from ..stored import Stored, from_matrix
from ..techniques.shared import width_of

# A kind of stored form and the kernel of an operand: what that tells, by what its `unpack()` gives and the
# shape. (The codes of a Format are told by the format: `Format.told`.)
TOLD: dict[tuple[str, Any], dict[str, Any]] = {
    ("dense", gemm): {"values": lambda w, shape: from_matrix(np.ascontiguousarray(w.T), shape)},
    ("dense", conv2d): {"values": lambda w, shape: w.reshape(shape)},
    ("dense", depthwise_conv2d): {"values": lambda w, shape: w.reshape(shape)},
    ("csr", spmm_csr): {name: lambda w, shape, i=i: w[i] for i, name in
                        enumerate(("values", "indices", "indptr"))},
    ("shared", codebook_gemm): {"codes": lambda w, shape: pack_bits(w[0], width_of(w[1]))},
    ("tensor train", tt_matmul): {"cores": lambda w, shape: np.concatenate([core.ravel() for core in w])}}

REALS = (gemm, conv2d, depthwise_conv2d, winograd_conv2d)  # they read a weight as reals, which tell no codes


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
    kernel, format = getattr(operand, "kernel", None), stored.format
    told = TOLD.get((stored.kind, kernel))
    if format is not None and stored.kind == format.name and kernel not in (None, *REALS):
        told = {"values": lambda w, shape: format.pack(format.told(kernel, w, shape))}
    if told is None:
        return stored
    twin = type(stored).__new__(type(stored))
    vars(twin).update(vars(stored), held=_Told(stored, operand, told))
    return twin
