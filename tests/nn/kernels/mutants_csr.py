"""Wrong products with sparse rows, each under the law that must kill it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from nn.kernels import qspmm_csr, spmm_csr
from nn.testing import laws, laws_csr, laws_float
from tests.nn.kernels.mutants import MUTANTS, arguments, into, output

ROWS = spmm_csr, qspmm_csr


@arguments(laws.permutes, *ROWS)
def skips_the_last_column_of_x(x, values, indices, indptr, **options):
    last = indices == x.shape[1] - 1
    return (x, np.where(last, values.dtype.type(0), values), indices, indptr), options


@arguments(laws_csr.reads_both_index_widths, *ROWS)
def reads_16_bit_indices_as_signed(x, values, indices, indptr, **options):
    return (x, values, np.abs(indices.astype(np.int16).astype(np.int32)), indptr), options


@output(laws_csr.gives_zero_for_empty_rows, *ROWS)
def lets_reduceat_have_empty_rows(y, x, values, indices, indptr, **options):
    if len(values) and y.size:
        products = (x[:, indices] * values).astype(y.dtype)
        return np.add.reduceat(products, np.minimum(indptr[:-1], len(values) - 1), axis=1, dtype=y.dtype)


@arguments(laws_float.adds_up_repeated_columns, *ROWS)
def keeps_the_last_of_a_repeated_column(x, values, indices, indptr, **options):
    row = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    again = np.append((row[:-1] == row[1:]) & (indices[:-1] == indices[1:]), False)[:len(values)]
    return (x, np.where(again, values.dtype.type(0), values), indices, indptr), options


@output(laws_csr.equals_the_dense_product, *ROWS)
def counts_a_full_row_one_short(y, x, values, indices, indptr, **options):
    for j in np.flatnonzero(np.diff(indptr) == x.shape[1]) if x.shape[1] else ():
        y[:, j] -= (x[:, -1] * values[indptr[j + 1] - 1]).astype(y.dtype)


@arguments(laws_csr.keeps_rows_of_many_columns, *ROWS)
def forgets_what_is_left_of_the_last_part(x, values, indices, indptr, **options):
    left = indices >= 256 * max(x.shape[1] // 256, 1)
    return (x, np.where(left, values.dtype.type(0), values), indices, indptr), options


def unchanged(*w):
    return w


def packs_wrongly(kernel, change, unpack=unchanged):
    """A kernel whose `pack` changes what it is given, or whose `unpack` does."""
    def pack(*w):
        rows = (w if len(w) == 4 else (*kernel.pack(*w).unpack(), w[0].shape[1]))[:3]
        return SimpleNamespace(kept=change(*rows), unpack=lambda: unpack(*rows))

    def run(x, *w, out=None, **options):
        kept = w[0].kept if isinstance(w[0], SimpleNamespace) else w
        return into(out, kernel.reference(x, *kept, **options))
    return run, pack


def by_parts(values, indices, indptr):
    """The non-zeros in order of the parts of their columns, as if that were the order of rows."""
    order = np.argsort(indices // 256, kind="stable")
    return values[order], indices[order], indptr


def sorted_rows(values, indices, indptr):
    """The columns of each row in rising order, which they need not have come in."""
    order = np.lexsort((indices, np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))))
    return values[order], indices[order], indptr


PACKS = {"multiplies_parts_as_rows": (by_parts,), "gives_back_parts_as_rows": (unchanged, by_parts),
         "gives_back_rows_sorted": (unchanged, sorted_rows)}
MUTANTS += [(laws_csr.keeps_rows_of_many_columns, kernel, name, *packs_wrongly(kernel, *how))
            for kernel in ROWS for name, how in PACKS.items()]
