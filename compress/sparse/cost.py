"""Which product multiplies with a weight that has zeros: a model of its cost, when a Program is bound.

A multiply-add of the dense product costs 1. One of a sparse product costs more, since it loads an index, and
vectors that the dense one keeps in registers; so it pays from a fraction of zeros on, its break-even:

    1 − (dense − besides) / (cost · all)     of single weights (CSR), or of the blocks that are all 0

besides: what a product costs whatever the zeros. Nothing is timed, and nothing asked but shape and zeros: a
Program runs the same way on every machine. The costs are measured on Zen 4 with AVX-512 (`espalier bench
spmm_csr spmm_bsr sparse_conv2d shapewise_conv2d qspmm_bsr qspmm_csr`), with 16 to 256 rows of x; with a
single row `spmm_csr` waits for its indices, and breaks even at 84 to 88 % zeros. On another machine the
break-even may be another."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from nn.kernels import (
    conv2d,
    gemm,
    qconv2d,
    qgemm,
    qspmm_bsr,
    qspmm_csr,
    shapewise_conv2d,
    sparse_conv2d,
    spmm_bsr,
    spmm_csr,
)

CSR = 2.5                    # breaks even at 60 % zeros; measured: 43 to 61 %, by the rows of x
CONVOLVED = 3.0              # CSR in `sparse_conv2d`, beside `conv2d`: at 67 %; measured: 57 to 76 % of 3×3
BLOCKS = {4: 1.4, 8: 1.3}    # by the rows of a block: at 29 % and 23 % of its blocks
GATHERED = 30.0              # to gather a number (`shapewise_conv2d`); measured: 24 to 41 at 14² to 56²
PATCH = 8.0                  # to lay out a number of a patch (im2col), float32; measured: 6 to 9

# Of integers, beside `qgemm`. A call takes as long with a row of x as with 64 (AVX2: 32), so that how many
# there will be decides: with 64 a multiply-add costs 1.0 / 1.4 (AVX-512 / AVX2); with 16 it is 3.4, which is
# taken; a row alone is 2 to 12 times as fast by `qgemm`. Measured with weights of 64 to 1024 × 72 to 1152.
INTEGERS = {8: 3.4, 4: 3.4}  # by the rows of a block; of two alike those with fewer indices
SINGLE = 8.0                 # of single weights: with 64 rows 1.7 / 1.8, with 16 it is 7.9, which is taken
TURNED = 60.0                # 60 / 26, for each number of x, which is turned into columns
WRITTEN = 30.0               # 31 / 21, for each sum, which is turned back
BEGUN = 25.0                 # of single weights besides, for each row of W
OF_FILTERS = 2.0             # beside `qconv2d`, which on AVX2 is twice as fast as `qgemm`
SINGLE_OF_FILTERS = 4.0      # the same of single weights; there are more rows than 64
BYTES_LAID = 20.0            # to lay out a number of a patch; measured: 7 to 30


class Product(NamedTuple):
    """What a product costs with a weight, for a row of x. kernel; rows: of its blocks; each: what a
    multiply-add costs; blocks: how many there are, of so many in all; besides: what comes on top."""

    kernel: Any
    rows: int
    each: float
    blocks: int
    of: int
    besides: float = 0.0

    @property
    def cost(self) -> float:
        """In multiply-adds of the dense product."""
        return self.besides + self.each * self.rows * self.blocks

    @property
    def zeros(self) -> float:
        """The fraction of blocks that are all 0."""
        return 1 - self.blocks / self.of

    def break_even(self, dense: Product) -> float:
        """From which fraction of them on it costs less than this one; above 1 where it never does."""
        return 1 - (dense.cost - self.besides) / (self.each * self.rows * self.of)


def products(positions: np.ndarray, shape: tuple[int, ...]) -> list[Product]:
    """Those with reals of weights at these positions in the matrix (out, in); the dense one first."""
    return [Product(gemm, 1, 1.0, prod(shape), prod(shape)),
            Product(spmm_csr, 1, CSR, len(positions), prod(shape)),
            *in_blocks(spmm_bsr, BLOCKS, positions, shape)]


def convolutions(positions: np.ndarray, shape: tuple[int, ...], dense: float = 1.0) -> list[Product]:
    """The same of filters: the dense convolution, a multiply-add of which costs `dense` (less than 1 by
    Winograd's algorithm), the sparse one, products of blocks with patches that are laid out, and the one of
    whole columns."""
    laid, columns = PATCH * prod(shape[1:]), len(columns_at(positions, shape))
    return [Product(conv2d, 1, dense, prod(shape), prod(shape)),
            Product(sparse_conv2d, 1, CONVOLVED, len(positions), prod(shape)),
            *in_blocks(spmm_bsr, BLOCKS, positions, shape, laid),
            Product(shapewise_conv2d, shape[0], 1 + GATHERED / shape[0], columns, prod(shape[1:]))]


def columns_at(positions: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The columns of the matrix that have any of these positions, rising."""
    return np.unique(positions % max(prod(shape[1:]), 1))


def of_integers(positions: np.ndarray, shape: tuple[int, ...]) -> list[Product]:
    """Those of integers; the dense one first."""
    return [Product(qgemm, 1, 1.0, prod(shape), prod(shape)),
            *_sparse_integers(INTEGERS, SINGLE, positions, shape, TURNED)]


def convolutions_of_integers(positions: np.ndarray, shape: tuple[int, ...]) -> list[Product]:
    """The dense convolution of integers, and products of blocks with patches that are laid out."""
    return [Product(qconv2d, 1, 1.0, prod(shape), prod(shape)),
            *_sparse_integers(dict.fromkeys(INTEGERS, OF_FILTERS), SINGLE_OF_FILTERS, positions, shape,
                              TURNED + BYTES_LAID)]


def _sparse_integers(blocks: dict[int, float], single: float, positions: np.ndarray, shape: tuple[int, ...],
                     laid: float) -> list[Product]:
    """The sparse products of integers: in blocks, and of single weights. laid: what a number of x costs."""
    besides = laid * prod(shape[1:]) + WRITTEN * shape[0]
    return [*in_blocks(qspmm_bsr, blocks, positions, shape, besides),
            Product(qspmm_csr, 1, single, len(positions), prod(shape), besides + BEGUN * shape[0])]


def in_blocks(kernel: Any, each: dict[int, float], positions: np.ndarray, shape: tuple[int, ...],
              besides: float = 0.0) -> list[Product]:
    """The products in blocks of so many rows, by what a multiply-add of each costs."""
    columns = prod(shape[1:])
    row, column = np.divmod(positions, columns)
    found = []
    for rows, cost in each.items():
        alive = np.zeros((-(-shape[0] // rows), columns), bool)
        alive[row // rows, column] = True
        found.append(Product(kernel, rows, cost, int(np.count_nonzero(alive)), alive.size, besides))
    return found


def cheapest(found: list[Product]) -> Product:
    """The product that costs least; of two alike the first: dense, then CSR."""
    return min(found, key=lambda product: product.cost)


def height(positions: np.ndarray, shape: tuple[int, ...]) -> int:
    """The rows of the blocks that cost least."""
    return cheapest(in_blocks(spmm_bsr, BLOCKS, positions, shape)).rows
