"""What all stored forms of a float32 weight with zeros share: they are made of its positions and values."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from nn.kernels import conv2d, gemm, shapewise_conv2d, sparse_conv2d, spmm_bsr, spmm_csr, spmm_nm

from ..stored import Stored, as_matrix, from_matrix
from .cost import cheapest, convolutions, height, products

Found = tuple[np.ndarray, np.ndarray]  # (positions, values)


class SparseForm(Stored, abstract=True):
    """A float32 weight, of which only what is not zero is stored.

    positions: of that in the weight's matrix (out, in), row by row, rising, int64 (n,); values: float32 (n,).
    A subclass says how both are written (`made`) and read (`found`); the way it is written is the only one,
    so that two files of one weight are equal and an operand tells what it was made of."""

    skips = True

    def __init__(self, w: np.ndarray) -> None:
        matrix = as_matrix(w).ravel()
        positions = np.flatnonzero(matrix)
        self.hold(w.shape, self.made(positions, matrix[positions], w.shape))

    @classmethod
    def fits(cls, positions: np.ndarray, shape: tuple[int, ...]) -> bool:
        """Whether weights that are at these positions can be written so."""
        return True

    @classmethod
    def made(cls, positions: np.ndarray, values: np.ndarray, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        """The arrays of the form."""

    def found(self) -> Found:
        """(positions, values)."""

    def check(self, who: str) -> None:
        positions, values = self.found()
        if len(positions) and not (0 <= positions[0] and positions[-1] < prod(self.shape)
                                   and (np.diff(positions) > 0).all()):
            raise ValueError(f"{who}: its positions must rise, and be those of {prod(self.shape)} weights")
        if not values.all() or not self.fits(positions, self.shape):
            raise ValueError(f"{who}: it stores a weight that is 0" * (not values.all())
                             or f"{who}: weights at these positions are not written so")
        for name, array in self.made(positions, values, self.shape).items():
            if not np.array_equal(array, self.held[name]):
                raise ValueError(f"{who}: its {name} are not written as they must be")

    def rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(values, indices, indptr) of compressed sparse rows."""
        return rows_of(*self.found(), self.shape)

    def matrix(self) -> np.ndarray:
        """The weight as the matrix (out, in)."""
        positions, values = self.found()
        matrix = np.zeros(prod(self.shape), np.float32)
        matrix[positions] = values
        return matrix.reshape(self.shape[0], -1)

    def decode(self) -> np.ndarray:
        return from_matrix(self.matrix(), self.shape)

    def kernel_with(self, activations: Any) -> Any:
        """The cheapest product with reals."""
        return None if activations is not None else cheapest(products(self.found()[0], self.shape)).kernel

    def convolved_with(self, dense: float) -> Any:
        """The cheapest convolution of real images, where a multiply-add of the dense one costs `dense`:
        `conv2d` for that, or another product in blocks, of patches that are laid out."""
        return cheapest(convolutions(self.found()[0], self.shape, dense)).kernel

    def operand(self, kernel: Any = None) -> Any:
        kernel = kernel or self.kernel
        if kernel is spmm_csr:
            return spmm_csr.pack(*self.rows(), prod(self.shape[1:]))
        if kernel is sparse_conv2d:  # (the filters of a signal are one pixel high)
            return sparse_conv2d.pack(*self.rows(), (1, *self.shape[2:])[-2:], self.shape[1])
        if kernel is shapewise_conv2d:
            return kernel.pack(self.decode().reshape(*self.shape[:2], *(1, *self.shape[2:])[-2:]))
        if kernel is spmm_bsr:
            positions, values = self.found()
            rows = height(positions, self.shape)
            return spmm_bsr.pack(*blocks_of(positions, values, self.shape, rows), self.shape[0],
                                 prod(self.shape[1:]))
        if kernel is spmm_nm:
            return spmm_nm.pack(self.matrix())
        return gemm.pack(self.matrix().T) if kernel is gemm else kernel.pack(self.decode())

    @classmethod
    def told(cls, kernel: Any) -> dict[str, Any]:
        read = READ.get(kernel)
        return {} if read is None else {
            name: lambda w, shape, name=name: cls.made(*read(w, shape), shape)[name] for name in cls.parts}

    def macs(self) -> int:
        return len(self.found()[0])


def rows_of(positions: np.ndarray, values: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Compressed sparse rows (values, indices, indptr) of the values at these positions."""
    columns = prod(shape[1:])
    indices = (positions % columns).astype(np.uint16 if columns <= 2**16 else np.int32)
    indptr = np.searchsorted(positions, columns * np.arange(shape[0] + 1)).astype(np.int32)
    return values, indices, indptr


def positions_in(indices: np.ndarray, indptr: np.ndarray, columns: int) -> np.ndarray:
    """The positions of compressed sparse rows, of so many columns."""
    row = np.repeat(np.arange(len(indptr) - 1, dtype=np.int64), np.diff(indptr))
    return row * columns + indices


def blocks_of(positions: np.ndarray, values: np.ndarray, shape: tuple[int, ...], rows: int
              ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Blocks of so many rows and one column, (blocks, indices, indptr): block rows of columns of `rows`
    numbers, those that are not all 0."""
    columns = prod(shape[1:])
    at, blocks = blocks_at(positions, values, columns, rows)
    _, indices, indptr = rows_of(at, blocks, (-(-shape[0] // rows), columns))
    return blocks, indices, indptr


def blocks_at(positions: np.ndarray, values: np.ndarray, columns: int, rows: int) -> Found:
    """(their positions in the matrix of blocks, blocks), of a weight of so many columns."""
    row, column = np.divmod(positions, columns)
    at, which = np.unique(row // rows * columns + column, return_inverse=True)
    blocks = np.zeros((len(at), rows), values.dtype)
    blocks[which, row % rows] = values
    return at, blocks


def values_in(blocks: np.ndarray, indices: np.ndarray, indptr: np.ndarray, columns: int) -> Found:
    """(positions, values): the inverse of `blocks_of`."""
    return values_at(positions_in(indices, indptr, columns), blocks, columns)


def values_at(at: np.ndarray, blocks: np.ndarray, columns: int) -> Found:
    """(positions, values): the inverse of `blocks_at`."""
    rows = blocks.shape[1]
    row, column = np.divmod(at, columns)
    block, within = np.nonzero(blocks)
    positions = (row[block] * rows + within) * columns + column[block]
    order = np.argsort(positions)
    return positions[order], blocks[block, within][order]


def in_columns(kept: np.ndarray, columns: np.ndarray, shape: tuple[int, ...]) -> Found:
    """(positions, values) of the columns (out, kept) of a weight."""
    row, which = np.nonzero(kept)
    return row * prod(shape[1:]) + columns[which], kept[row, which]


def dense_filters(w: Any) -> np.ndarray:
    """The filters (O, C, kH, kW) of an operand of `sparse_conv2d` or `shapewise_conv2d`."""
    positions, values = READ[w.kernel](w.unpack(), w.shape)
    matrix = np.zeros(prod(w.shape), np.float32)
    matrix[positions] = values
    return from_matrix(matrix.reshape(w.shape[0], -1), w.shape)


def _of_matrix(matrix: np.ndarray) -> Found:
    flat = matrix.ravel()
    positions = np.flatnonzero(flat)
    return positions, flat[positions]


# How positions and values are read from what an operand unpacks to, and the shape of the weight.
READ: Mapping[Any, Any] = {
    spmm_csr: lambda w, shape: (positions_in(w[1], w[2], prod(shape[1:])), w[0]),
    sparse_conv2d: lambda w, shape: (positions_in(w[1], w[2], prod(shape[1:])), w[0]),
    shapewise_conv2d: lambda w, shape: in_columns(*w[:2], shape),
    spmm_bsr: lambda w, shape: values_in(*w[:3], prod(shape[1:])),
    gemm: lambda w, shape: _of_matrix(np.ascontiguousarray(w.T)),
    conv2d: lambda w, shape: _of_matrix(as_matrix(w.reshape(shape)))}
