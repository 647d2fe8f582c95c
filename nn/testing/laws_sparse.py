"""The laws of the products with sparse matrices in blocks (BSR) and of the pattern N:M; of int8 weights, too.
"""

from __future__ import annotations

import numpy as np

from ..kernels import qgemm
from .case import Case
from .laws import LAWS, Implementation, alike, obeys, same
from .laws_float import GEMM_LAWS
from .laws_qgemm import reads_options_anew


def reads_both_widths_of_indices(f: Implementation, case: Case) -> None:
    """u16 and i32 name the same columns, also above 32,767, where a signed 16-bit index is negative."""
    x, blocks, indices, indptr, n = case.args
    narrow, wide = (f(case.on(x, blocks, indices.astype(d), indptr, n)) for d in (np.uint16, np.int32))
    same(narrow, wide, "u16 against i32 indices")
    rng = case.rng()
    columns = np.append(np.sort(rng.choice(65535, 4, replace=False)), 65535)
    x = np.zeros((1, 65536), x.dtype)
    x[0, columns] = rng.integers(1, 100, 5)
    got = f(Case((x, np.ones((5, 4), blocks.dtype), columns.astype(np.uint16), np.arange(6, dtype=np.int32),
                  np.array([20], np.int32))))
    same(got, np.repeat(x[:, columns], 4, axis=1).astype(got.dtype), "a block of ones, columns up to 65,535")


def gives_zero_for_rows_without_blocks(f: Implementation, case: Case) -> None:
    """Rows of blocks that store nothing give columns of zeros, among others and when all are empty."""
    x, blocks = case.args[:2]
    rows = blocks.shape[1]
    ones = np.ones((5 * rows, x.shape[1]), blocks.dtype)
    stored = np.zeros((5, x.shape[1]), bool)
    got = f(f.domain.blocks(x, ones, stored, rows))
    same(got, np.zeros_like(got), "a W that stores nothing")
    stored[1::2] = True
    got = f(f.domain.blocks(x, ones, stored, rows)).reshape(len(x), 5, rows)[:, ::2]
    same(np.ascontiguousarray(got), np.zeros(got.shape, got.dtype), "columns of rows that are empty")


def adds_up_blocks_named_twice(f: Implementation, case: Case) -> None:
    """A block named twice in a row of blocks counts twice."""
    x, blocks, indices, indptr, n = case.args
    twice = Case((x, np.repeat(blocks, 2, axis=0), np.repeat(indices, 2), indptr * 2, n))
    alike(f, f(twice), f(Case(case.args)) * 2, twice, "with every block twice", reordered=True)


def equals_the_product_with_all_blocks(f: Implementation, case: Case) -> None:
    """With every block of W stored, zeros too, and with W packed from its dense form: one product."""
    x, rows, dense = case.args[0], case.args[1].shape[1], f.domain.dense(case).astype(f.domain.dtype)
    every = np.ones((-(-len(dense) // rows), dense.shape[1]), bool)
    full = f.domain.blocks(x, dense, every, rows, options=case.options)
    alike(f, f(full), f(case), full, "with all blocks of W stored", reordered=True)
    if f.pack is not None:
        for height in (4, 8):
            got = f(case.on(x, f.pack(dense, height)))
            alike(f, got, f(case), full, f"with W packed from its dense form, in blocks of {height}", True)


def equals_the_product_with_what_is_pruned(f: Implementation, case: Case) -> None:
    """With W packed from its dense form, N and M said: the same product."""
    x, values, _ = case.args
    if f.pack is not None and values.shape[1]:
        packed = f.pack(f.domain.dense(case).astype(f.domain.dtype), values.shape[2], f.domain.of(case))
        alike(f, f(case.on(x, packed)), f(case), case, "with W packed from its dense form", reordered=True)


def finds_each_place(f: Implementation, case: Case) -> None:
    """One-hot rows of x, one after the other, give W itself."""
    want = f.domain.dense(case).T
    x = np.eye(len(want), dtype=case.args[0].dtype)
    got = f(Case((x, *case.args[1:])))
    same(got, np.ascontiguousarray(want).astype(got.dtype), "with the identity for x")


def adds_up_places_named_twice(f: Implementation, case: Case) -> None:
    """A place that is kept twice counts twice."""
    x, values, indices = case.args
    both = (np.ascontiguousarray(np.repeat(a[..., :1], 2, axis=2)) for a in (values, indices))
    once = Case((x, *(np.ascontiguousarray(a[..., :1]) for a in (values, indices))))
    twice = Case((x, *both))
    alike(f, f(twice), f(once) * 2, twice, "with the first place of each group twice", reordered=True)


def equals_the_product_of_dense_integers(f: Implementation, case: Case) -> None:
    """The bits of qgemm with W dense, with whatever is around the sum of products."""
    options = {"a_zero" if name == "x_zero" else name: v for name, v in case.options.items()}
    dense = np.ascontiguousarray(f.domain.dense(case).astype(np.int8).T)
    same(f(case), qgemm.reference(case.args[0], dense, **options), "against qgemm with W dense")


def keeps_sums_beyond_16_bits(f: Implementation, case: Case) -> None:
    """Operands for which the sum of two products leaves int16, against int64 arithmetic."""
    k = (case.seed % 9 + 1) * 4
    heights = (255, 127, 128, 126, 1) if case.args[0].dtype == np.uint8 else (-128, 127, -127, 64, 1)
    pairs = [(-128, -128), (127, 127), (127, -128), (0, -128), (127, 1), (64, 64), (65, 64), (-65, -64)]
    x = np.repeat(np.array(heights)[:, None], k, axis=1).astype(case.args[0].dtype)
    for some in (pairs, *([pair] for pair in pairs)):    # alone, because packers may look at a whole weight
        extreme = f.domain.alternating(x, some)
        same(f(extreme), f.domain.exactly(extreme).astype(np.int32), f"weights {some}")


OF_BLOCKS = (reads_both_widths_of_indices, gives_zero_for_rows_without_blocks, adds_up_blocks_named_twice,
             equals_the_product_with_all_blocks)
OF_GROUPS = equals_the_product_with_what_is_pruned, finds_each_place, adds_up_places_named_twice
OF_INTEGERS = equals_the_product_of_dense_integers, keeps_sums_beyond_16_bits, reads_options_anew
obeys("spmm_bsr", *GEMM_LAWS, *OF_BLOCKS)
obeys("qspmm_bsr", *LAWS, *OF_BLOCKS, *OF_INTEGERS)
obeys("spmm_nm", *GEMM_LAWS, *OF_GROUPS)
obeys("qspmm_nm", *LAWS, *OF_GROUPS, *OF_INTEGERS)
