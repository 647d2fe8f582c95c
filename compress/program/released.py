"""Once a weight is packed for its kernel, what is stored of it is told from that: it is held once.

An operand is the weight to the bit, but for Winograd's, whose filters move by a rounding. Where it is, the
arrays of the stored form are made from it whenever somebody asks, to save it or to print its bytes."""

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np

from nn.kernels import (
    bconv2d,
    bgemm,
    codebook_gemm,
    conv2d,
    depthwise_conv2d,
    gemm,
    nbit_gemm,
    pow2_gemm,
    qconv2d,
    qdepthwise_conv2d,
    qgemm,
    spmm_csr,
    tt_matmul,
)

from ..formats.bits import pack_bits
from ..stored import Stored, as_matrix, from_matrix
from ..techniques.shared import width_of

# A kind of stored form and the kernel of an operand: what that tells, of its `unpack()` and the stored form's
# shape and format. The kind of all codes of a Format is called "codes" here.
TOLD: dict[tuple[str, Any], dict[str, Any]] = {
    ("dense", gemm): {"values": lambda w, shape, _: from_matrix(np.ascontiguousarray(w.T), shape)},
    ("dense", conv2d): {"values": lambda w, shape, _: w.reshape(shape)},
    ("dense", depthwise_conv2d): {"values": lambda w, shape, _: w.reshape(shape)},
    ("codes", qgemm): {"values": lambda w, shape, format: packed(format, np.ascontiguousarray(w.T))},
    ("codes", qconv2d): {"values": lambda w, shape, format: packed(format, as_matrix(w))},
    ("codes", qdepthwise_conv2d): {"values": lambda w, shape, format: packed(format, as_matrix(w))},
    ("codes", nbit_gemm): {"values": lambda w, shape, format: packed(format, np.ascontiguousarray(w[0].T))},
    ("codes", pow2_gemm): {"values": lambda w, shape, format: format.pack(
        np.ascontiguousarray(((w & 7).astype(np.int8) * (1 - 2 * (w >> 3).astype(np.int8))).T))},
    ("codes", bgemm): {"values": lambda w, shape, format: format.pack(1 - 2 * bits_of(w, shape))},
    ("codes", bconv2d): {"values": lambda w, shape, format: format.pack(1 - 2 * bits_of(w, shape))},
    ("csr", spmm_csr): {name: lambda w, shape, _, i=i: w[i] for i, name in
                        enumerate(("values", "indices", "indptr"))},
    ("shared", codebook_gemm): {"codes": lambda w, shape, _: pack_bits(w[0], width_of(w[1]))},
    ("tensor train", tt_matmul): {"cores": lambda w, shape, _: np.concatenate([core.ravel() for core in w])}}


def packed(format: Any, multipliers: np.ndarray) -> np.ndarray:
    """The codes of a weight's integers (out, in), as they are stored."""
    return format.pack(format.codes_of(multipliers))


def bits_of(words: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """What was packed to words along its channels, int8, row by row; `shape`: of the weight."""
    bits = np.unpackbits(np.ascontiguousarray(words, "<u4").view(np.uint8), axis=-1, bitorder="little")
    return bits[..., :shape[1] if words.ndim == 4 else prod(shape[1:])].astype(np.int8)


class _Told(Mapping):
    """The arrays of a stored form: those that are there, and those that its operand tells."""

    def __init__(self, stored: Stored, operand: Any, told: Mapping[str, Any]) -> None:
        self.there = {name: None if name in told else array for name, array in stored.held.items()}
        self.told, self.operand, self.of = told, operand, (stored.shape, stored.format)

    def __getitem__(self, name: str) -> np.ndarray:
        array = self.there[name]
        return self.told[name](self.operand.unpack(), *self.of) if array is None else array

    def __iter__(self) -> Iterator[str]:
        return iter(self.there)

    def __len__(self) -> int:
        return len(self.there)


def released(stored: Stored, operand: Any = None) -> Stored:
    """The stored form without the arrays that its operand tells; itself where it tells none."""
    kind = "codes" if stored.format is not None and stored.kind == stored.format.name else stored.kind
    told = TOLD.get((kind, getattr(operand, "kernel", None)))
    if told is None:
        return stored
    twin = type(stored).__new__(type(stored))
    vars(twin).update(vars(stored), held=_Told(stored, operand, told))
    return twin
