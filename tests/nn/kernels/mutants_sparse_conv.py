"""Wrong convolutions with sparse filters, each under its law; more in mutants_pruned_conv.py."""

from __future__ import annotations

import numpy as np

from nn.kernels import sparse_conv2d
from nn.testing import laws, laws_float, laws_sparse_conv
from tests.nn.kernels.mutants import arguments, output

PLAIN = sparse_conv2d.reference


@output(laws.equals_specification, sparse_conv2d)
def forgets_the_last_non_zero(y, x, values, indices, indptr, size, bias=None, **options):
    last = np.zeros_like(values)
    last[-1:] = values[-1:]
    y -= PLAIN(x, last, indices, indptr, size, **{**options, "relu": False})


@arguments(laws_float.adds_up_repeated_columns, sparse_conv2d)
def keeps_the_last_of_repeated_columns(x, values, indices, indptr, size, **options):
    owner = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    again = np.append((owner[1:] == owner[:-1]) & (indices[1:] == indices[:-1]), [False] * (len(indices) > 0))
    return (x, np.where(again, np.float32(0), values), indices, indptr, size), options


@output(laws_sparse_conv.convolves_with_what_is_stored, sparse_conv2d)
def skips_rows_that_are_full(y, x, values, indices, indptr, size, **options):
    full = np.diff(indptr) == x.shape[3] * np.prod(size)
    y[..., full & (np.diff(indptr) > 0)] = 5
