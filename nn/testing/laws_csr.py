"""The laws of the products with sparse matrices in compressed rows (CSR), of float32 and of int8."""

from __future__ import annotations

import numpy as np

from .case import Case
from .laws import LAWS, Implementation, alike, obeys, same
from .laws_float import GEMM_LAWS, adds_up_repeated_columns
from .laws_sparse import OF_INTEGERS


def reads_both_index_widths(f: Implementation, case: Case) -> None:
    """u16 and i32 name the same columns, also above 32,767, where a signed 16-bit index is negative."""
    x, values, indices, indptr = case.args
    narrow, wide = (f(case.on(x, values, indices.astype(width), indptr)) for width in (np.uint16, np.int32))
    same(narrow, wide, "u16 against i32 indices")
    k, rng = 65536, case.rng()
    columns = np.append(np.sort(rng.choice(k - 1, 4, replace=False)), k - 1)
    x = f.domain.numbers(rng, (1, k), "uniform")
    ones = np.ones(5, values.dtype), columns.astype(np.uint16), np.arange(6, dtype=np.int32)
    got = f(Case((x, *ones)))
    same(got, x[:, columns].astype(got.dtype), "one stored 1 a row, in columns up to 65,535")
    if f.pack is not None:
        same(f(Case((x, f.pack(*ones, k)))), got, "the same, packed")


def gives_zero_for_empty_rows(f: Implementation, case: Case) -> None:
    """A row of W that stores nothing gives an output column of zeros, among others and when all are empty."""
    m, k, n = f.domain.shape(case)
    ones = np.ones((n, k), f.domain.dtype)
    stored = case.rng().random((n, k)) < 0.5
    stored[::2] = False
    got = f(f.domain.storing(case.args[0], ones, stored))
    same(np.ascontiguousarray(got[:, ::2]), np.zeros((m, (n + 1) // 2), got.dtype), "columns of empty rows")
    got = f(f.domain.storing(case.args[0], ones, np.zeros((n, k), bool)))
    same(got, np.zeros((m, n), got.dtype), "a W that stores nothing")


def equals_the_dense_product(f: Implementation, case: Case) -> None:
    """With every zero of W stored, with none, and with W packed from its dense form: one product."""
    x, dense = case.args[0], f.domain.dense(case).astype(f.domain.dtype)
    full, bare = (f.domain.storing(x, dense, stored, options=case.options)
                  for stored in (np.ones(dense.shape, bool), dense != 0))
    alike(f, f(full), f(bare), full, "with the zeros of W stored", reordered=True)
    if f.pack is not None:
        alike(f, f(case.on(x, f.pack(dense))), f(bare), bare, "with W packed from its dense form")


def keeps_rows_of_many_columns(f: Implementation, case: Case) -> None:
    """Rows so long, and so full, that a pack may cut them: the exact product, and W back to the bit, whether
    the columns of a row rise or not."""
    rng = case.rng()
    n, k = int(rng.integers(1, 6)), int(rng.integers(380, 1100))
    w = rng.integers(-9, 10, (n, k)).astype(f.domain.dtype)
    x = rng.integers(0, 10, (int(rng.integers(1, 34)), k)).astype(case.args[0].dtype)
    stored = rng.random((n, k)) < rng.choice([0.1, 0.3, 0.9])
    stored[rng.random(n) < 0.2] = False
    rising = f.domain.storing(x, w, stored)
    for long, how in (rising, "rise"), (f.domain.inner(rising, rng.permutation(k)), "do not rise"):
        got = f(long)
        same(got, f.domain.exactly(long).astype(got.dtype), f"with {k} columns that {how}")
        if f.pack is None:
            continue
        packed = f.pack(*f.domain.to_pack(long))
        same(f(long.on(long.args[0], packed)), got, f"packed, with {k} columns that {how}")
        if hasattr(packed, "unpack"):
            for part, was in zip(packed.unpack(), f.domain.weight(long), strict=True):
                same(part, was, f"unpacked, with {k} columns that {how}")


OF_ROWS = (reads_both_index_widths, gives_zero_for_empty_rows, equals_the_dense_product,
           adds_up_repeated_columns, keeps_rows_of_many_columns)
obeys("spmm_csr", *GEMM_LAWS, *OF_ROWS)
obeys("qspmm_csr", *LAWS, *OF_ROWS, *OF_INTEGERS)
