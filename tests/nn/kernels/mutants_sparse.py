"""Wrong products with sparse matrices in blocks and of N:M, each under the law that must kill it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from nn.kernels import qspmm_bsr, qspmm_csr, qspmm_nm, spmm_bsr, spmm_nm
from nn.testing import laws, laws_float, laws_qgemm, laws_sparse
from tests.nn.kernels.mutants import MUTANTS, arguments, into, output

BLOCKS, GROUPS = (spmm_bsr, qspmm_bsr), (spmm_nm, qspmm_nm)
FLOATS, INTEGERS = (spmm_bsr, spmm_nm), (qspmm_bsr, qspmm_nm, qspmm_csr)


@arguments(laws.permutes, *BLOCKS)
def skips_the_last_column_of_x(x, blocks, indices, *rest, **options):
    last = indices[:, None] == x.shape[1] - 1
    return (x, np.where(last, blocks.dtype.type(0), blocks), indices, *rest), options


@arguments(laws.permutes, *GROUPS)
def skips_the_last_group(x, values, indices, **options):
    values = values.copy()
    values[:, -1:] = 0
    return (x, values, indices), options


@arguments(laws_float.is_exact_on_small_integers, *FLOATS)
def rounds_to_half_precision(x, *rest):
    return ((x * np.float32(1 + 2**-13)).astype(np.float32), *rest), {}


@output(laws_float.propagates_nan_and_infinity, *FLOATS)
def calls_nan_zero(y, *args):
    return np.where(np.isnan(y), np.float32(0), y)


@arguments(laws_float.propagates_nan_and_infinity, *FLOATS)
def skips_zeros_of_the_weight(x, *rest):
    return (np.where(np.isfinite(x), x, np.float32(0)), *rest), {}


@arguments(laws_sparse.reads_both_widths_of_indices, *BLOCKS)
def reads_16_bit_indices_as_signed(x, blocks, indices, *rest, **options):
    return (x, blocks, np.abs(indices.astype(np.int16).astype(np.int32)), *rest), options


@output(laws_sparse.gives_zero_for_rows_without_blocks, *BLOCKS)
def begins_with_what_the_last_row_left(y, x, blocks, indices, indptr, n=None, **options):
    rows = blocks.shape[1]
    for b in np.flatnonzero(np.diff(indptr) == 0):
        if b:
            y[:, b * rows:] += y[:, (b - 1) * rows:(b - 1) * rows + 1]


@arguments(laws_sparse.adds_up_blocks_named_twice, *BLOCKS)
def keeps_the_last_of_two_blocks(x, blocks, indices, indptr, *rest, **options):
    row = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    again = np.append((row[:-1] == row[1:]) & (indices[:-1] == indices[1:]), False)[:len(blocks)]
    return (x, np.where(again[:, None], blocks.dtype.type(0), blocks), indices, indptr, *rest), options


@output(laws_sparse.equals_the_product_with_all_blocks, *BLOCKS)
def counts_a_full_row_one_short(y, x, blocks, indices, indptr, n=None, **options):
    rows = blocks.shape[1]
    for b in np.flatnonzero(np.diff(indptr) == x.shape[1]) if x.shape[1] else ():
        y[:, b * rows] += y.dtype.type(1)


@arguments(laws_sparse.finds_each_place, *GROUPS)
def takes_a_place_for_its_neighbour(x, values, indices, **options):
    of = x.shape[1] // max(values.shape[1], 1)
    return (x, values, (indices + 1) % max(of, 1)), options


@arguments(laws_sparse.adds_up_places_named_twice, *GROUPS)
def keeps_the_last_of_two_places(x, values, indices, **options):
    values = values.copy()
    if values.shape[2] > 1:
        values[..., 0] *= indices[..., 0] != indices[..., 1]
    return (x, values, indices), options


def prunes_once_more(kernel):
    """A kernel whose `pack` of a dense W drops the last number of each group."""
    def pack(w, kept, of):
        values, indices = kernel.pack(w, kept, of).unpack()
        return SimpleNamespace(kept=(values * (np.arange(kept) < kept - 1).astype(values.dtype), indices))

    def run(x, *weight, out=None, **options):
        kept = weight[0].kept if isinstance(weight[0], SimpleNamespace) else weight
        return into(out, kernel.reference(x, *kept, **options))
    return run, pack


MUTANTS += [(laws_sparse.equals_the_product_with_what_is_pruned, kernel, "prunes_once_more",
             *prunes_once_more(kernel)) for kernel in GROUPS]


@arguments(laws_sparse.equals_the_product_of_dense_integers, *INTEGERS)
def forgets_the_zero_point(x, *rest, **options):
    return (x, *rest), {**options, "x_zero": 0}


@arguments(laws_sparse.equals_the_product_of_dense_integers, *INTEGERS)
def reads_signed_x_as_unsigned(x, *rest, **options):
    zero = options.get("x_zero", 0)
    dtype = options.get("out_dtype", x.dtype if "scale" in options else None)
    return (x.view(np.uint8), *rest), {**options, "x_zero": zero % 256, "out_dtype": dtype}


@output(laws_sparse.keeps_sums_beyond_16_bits, *INTEGERS)
def saturates_in_16_bits(y, *args, **options):
    return y if options else np.clip(y, -2**15, 2**15 - 1)


LAST = {}


@arguments(laws_qgemm.reads_options_anew, *INTEGERS)
def trusts_the_same_array_to_hold_the_same_bias(x, *rest, bias=None, **options):
    if bias is not None and LAST.get("array") is not bias:
        LAST.update(array=bias, copy=bias.copy())
    return (x, *rest), {**options, "bias": None if bias is None else LAST["copy"]}
