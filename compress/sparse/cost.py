"""Which product multiplies with a weight that has zeros: a model of its cost, when a Program is bound.

A multiply-add of the dense product costs 1. One of a sparse product costs more, since it loads an index, and
vectors that the dense one keeps in registers; so it pays from a fraction of zeros on, its break-even:

    1 − 1/cost          of single weights (CSR), and of blocks, with the fraction of blocks that are all 0

Nothing is timed, and nothing asked but shape and zeros: a Program runs the same way on every machine. The
costs are measured, `espalier bench sparse`; on another machine the break-even may be another."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from nn.kernels import gemm, spmm_bsr, spmm_csr

CSR = 3.5                    # breaks even at 71 % zeros
BLOCKS = {4: 1.4, 8: 1.3}    # by the rows of a block: at 29 % and 23 % of its blocks


def break_even(kernel: Any, rows: int) -> float:
    """From which fraction of zeros on, or of blocks of so many rows, this product costs less than the dense
    one."""
    return 1 - 1 / (CSR if kernel is spmm_csr else BLOCKS[rows])


def costs(positions: np.ndarray, shape: tuple[int, ...]) -> dict[tuple[Any, int], float]:
    """What each product costs for a row of x, in multiply-adds of the dense one, by its kernel and the rows
    of its blocks: for weights at these positions in the matrix (out, in)."""
    columns = prod(shape[1:])
    row, column = np.divmod(positions, columns)
    found = {(gemm, 0): float(prod(shape)), (spmm_csr, 1): CSR * len(positions)}
    for rows, cost in BLOCKS.items():
        blocks = len(np.unique(row // rows * columns + column))
        found[spmm_bsr, rows] = cost * rows * blocks
    return found


def cheapest(positions: np.ndarray, shape: tuple[int, ...]) -> Any:
    """The kernel that costs least; of two alike the first: dense, then CSR."""
    return choice(positions, shape)[0]


def choice(positions: np.ndarray, shape: tuple[int, ...]) -> tuple[Any, Any, int, float]:
    """The kernel that costs least, that of the cheapest sparse product and the rows of its blocks, and of how
    many of these, as a fraction of all, nothing is left."""
    found = costs(positions, shape)
    taken = min(found, key=found.__getitem__)[0]
    (suits, rows), cost = min(list(found.items())[1:], key=lambda one: one[1])
    each = CSR if suits is spmm_csr else BLOCKS[rows]
    blocks = -(-shape[0] // rows) * prod(shape[1:])
    return taken, suits, rows, 1 - cost / (each * rows * blocks)


def height(positions: np.ndarray, shape: tuple[int, ...]) -> int:
    """The rows of the blocks that cost least."""
    found = costs(positions, shape)
    return min(BLOCKS, key=lambda rows: found[spmm_bsr, rows])
