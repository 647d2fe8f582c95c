"""The break-evens of sparse products as this machine has them, beside those of cost.py, which are the same on
every machine."""

from __future__ import annotations

from functools import cache
from math import prod
from typing import Any

import numpy as np

from nn.kernels import gemm, spmm_bsr
from nn.timing import race

from ..stored import from_matrix
from .csr import SparseWeight

ROWS = 64  # of x: a batch, or the pixels of a small image
ZEROS = 0.85


@cache
def measured_break_even(shape: tuple[int, ...], kernel: Any, rows: int = 1, seconds: float = 0.02) -> float:
    """From which fraction of zeros on (of blocks of so many `rows`, all 0) this kernel is faster than `gemm`,
    with a weight of this shape and 64 rows of x: where the line through its times with 85 % of zeros and with
    none at all meets the time of `gemm`. Takes about three times so many seconds, once a shape."""
    rng, (out, columns) = np.random.default_rng(0), (shape[0], prod(shape[1:]))
    x, y = rng.standard_normal((ROWS, columns), np.float32), np.empty((ROWS, out), np.float32)
    dense = rng.standard_normal((out, columns), np.float32)
    few = dense * np.repeat(rng.random((-(-out // rows), columns)) >= ZEROS, rows, axis=0)[:out]
    operands = {name: SparseWeight(from_matrix(w.astype(np.float32), shape)).operand(kernel) if kernel is not
                spmm_bsr else spmm_bsr.pack(w.astype(np.float32), rows)
                for name, w in (("few", few), ("none", np.zeros_like(dense)))}
    packed = gemm.pack(dense.T)
    times = race({"dense": lambda: gemm(x, packed, out=y),
                  **{name: lambda operand=operand: kernel(x, operand, out=y)
                     for name, operand in operands.items()}}, seconds)
    alive = np.count_nonzero(few) / few.size
    slope = max(times["few"] - times["none"], 1e-12) / alive
    return float(np.clip(1 - (times["dense"] - times["none"]) / slope, 0, 1))
