"""The laws of tt_matmul: how modes are numbered, what ranks mean, and what float kernels owe."""

from __future__ import annotations

from functools import reduce

import numpy as np

from . import laws
from .case import Case
from .laws import Implementation, alike, obeys, same


def splits_into_blocks(f: Implementation, case: Case) -> None:
    """Two parts of the first output mode, the slowest, are two blocks of columns (the order may differ)."""
    size = f.domain.shape(case)[2]
    cut = int(case.rng().integers(size + 1))
    parts = [f(f.domain.columns(case, slice(0, cut))), f(f.domain.columns(case, slice(cut, size)))]
    alike(f, np.hstack(parts), f(case), case, f"first output mode cut at {cut}", reordered=True)


def permutes_modes(f: Implementation, case: Case) -> None:
    """A permutation of any mode in its core is that permutation of the digits of x's or y's columns."""
    x, *cores = case.args
    rng, ins, outs = case.rng(), [core.shape[1] for core in cores], [core.shape[2] for core in cores]
    want = f(case).reshape(len(x), *outs)
    digits = x.reshape(len(x), *ins)
    for k, core in enumerate(cores):
        taken, given = rng.permutation(ins[k]), rng.permutation(outs[k])
        digits, want = np.take(digits, taken, axis=k + 1), np.take(want, given, axis=k + 1)
        cores[k] = np.ascontiguousarray(core[:, taken][:, :, given])
    turned = case.on(np.ascontiguousarray(digits.reshape(x.shape)), *cores)
    want = np.ascontiguousarray(want.reshape(len(x), int(np.prod(outs))))
    alike(f, f(turned), want, turned, "every mode permuted", reordered=True)


def numbers_modes_in_c_order(f: Implementation, case: Case) -> None:
    """With ranks of 1, W is the Kronecker product G₁ ⊗ … ⊗ G_d: the last mode of both sides runs fastest."""
    x, *cores = case.args
    rank_1 = [np.ascontiguousarray(core[:1, :, :, :1]) for core in cores]
    w = reduce(np.kron, [core[0, :, :, 0].astype(np.float64) for core in rank_1])
    sliced = case.on(x, *rank_1)
    same(f(sliced), (x.astype(np.float64) @ w).astype(np.float32), "against a Kronecker product",
         2 * f.domain.bound(sliced) + np.abs(x.astype(np.float64) @ w) * 2.0**-23)


def renames_ranks(f: Implementation, case: Case) -> None:
    """Rank indices are only summed over: in another order on both sides of a bond they change nothing."""
    x, *cores = case.args
    rng, before = case.rng(), [core.copy() for core in cores]
    for k in range(len(cores) - 1):
        order = rng.permutation(cores[k].shape[3])
        before[k] = np.ascontiguousarray(before[k][..., order])
        before[k + 1] = np.ascontiguousarray(before[k + 1][order])
    alike(f, f(case.on(x, *before)), f(case), case, "rank indices permuted", reordered=True)


def is_exact_on_small_integers(f: Implementation, case: Case) -> None:
    """Integers whose sums stay below 2²⁴ are never rounded: exact in any order."""
    rng = case.rng()
    for largest in (9, 3, 1):
        whole = case.on(*(rng.integers(-largest, largest + 1, a.shape).astype(np.float32) for a in case.args))
        reach = np.abs(whole.args[0].astype(np.float64)) @ f.domain.dense(whole, np.abs)
        if np.all(reach < 2**24):
            same(f(whole), f.domain.exactly(whole).astype(np.float32), f"on integers up to {largest}")


def propagates_nan(f: Implementation, case: Case) -> None:
    """A NaN in x spoils its row; one in a core spoils the columns with its output digit; nothing else."""
    rng = case.rng()
    args, at = [a.copy() for a in case.args], int(rng.integers(len(case.args)))
    if not args[at].size:
        return
    where = tuple(rng.integers(0, args[at].shape))
    args[at][where] = np.nan
    spoiled = np.zeros([len(args[0]), *(core.shape[2] for core in args[1:])], bool)
    spoiled[(slice(None),) * at + (where[2] if at else where[0],)] = True
    got = f(case.on(*args))
    same(np.isnan(got), spoiled.reshape(got.shape), f"NaN in argument {at} at {where}")


obeys("tt_matmul", *(law for law in laws.LAWS if law not in (laws.splits_into_columns, laws.permutes)),
      splits_into_blocks, permutes_modes, numbers_modes_in_c_order, renames_ranks, is_exact_on_small_integers,
      propagates_nan)
