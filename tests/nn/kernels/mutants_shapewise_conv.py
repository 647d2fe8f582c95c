"""Wrong convolutions with deleted columns, each under its law; more in mutants_pruned_conv.py."""

from __future__ import annotations

import numpy as np

from nn.kernels import shapewise_conv2d
from nn.testing import laws, laws_shapewise_conv
from tests.nn.kernels.mutants import output

PLAIN = shapewise_conv2d.reference


@output(laws.equals_specification, shapewise_conv2d)
def forgets_the_last_column(y, x, w, columns, size, bias=None, **options):
    y -= PLAIN(x, w[:, -1:], columns[-1:], size, **{**options, "relu": False})


@output(laws_shapewise_conv.convolves_with_what_is_kept, shapewise_conv2d)
def skips_all_when_all_are_kept(y, x, w, columns, size, **options):
    if len(columns) and len(columns) == x.shape[3] * np.prod(size):
        y += 5


@output(laws_shapewise_conv.reads_nothing_of_other_columns, shapewise_conv2d)
def multiplies_what_is_deleted_by_zero(y, x, w, columns, size, **options):
    if y.size:
        y += np.float32(0) * x.sum()
