"""The domains of spmm_csr and qspmm_csr: x (M,K) by the transpose of a sparse W (N,K), stored row by row."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from .case import STYLES, Case
from .domain import SEEDS, TINY, gamma
from .domain_sparse import OfIntegers, Sparse


class SpmmCsr(Sparse):
    """f32 x·Wᵀ; the arguments are x, values, indices, indptr. (Or, in domain_bsr.py, blocks and one more.)"""

    name = "spmm_csr"
    m_tiles, n_tiles = (8, 16, 32, 64), (1, 4, 16)

    def cases(self) -> st.SearchStrategy[Case]:
        """From no stored value to all of them; whole rows of W empty; 16- and 32-bit indices."""
        return st.builds(self._make, *self.sizes(), st.sampled_from([0.0, 0.05, 0.3, 1.0]),
                         st.sampled_from([np.uint16, np.int32]), st.sampled_from(STYLES), SEEDS)

    def _make(self, m, k, n, density, index_dtype, style, seed) -> Case:
        rng = np.random.default_rng(seed)
        stored = rng.random((n, k)) < density
        stored[rng.random(n) < 0.2] = False
        x, w = self.numbers(rng, (m, k), style), self.weights(rng, (n, k), style)
        return self.storing(x, w, stored, index_dtype, seed, self.around(rng, n, x.dtype))

    def storing(self, x, w, stored, index_dtype=np.int32, seed: int = 0, options: dict | None = None) -> Case:
        """The case whose W holds w where `stored` (N,K) is true; a stored value may well be zero."""
        row, column = np.nonzero(stored)
        indptr = np.concatenate([[0], np.cumsum(stored.sum(1))]).astype(np.int32)
        return Case((x, w[row, column], column.astype(index_dtype), indptr), options or {}, seed)

    def alternating(self, x: np.ndarray, pairs: list[tuple[int, int]]) -> Case:
        """The case whose row r of W has the two numbers of a pair in turn."""
        even = np.arange(x.shape[1]) % 2 == 0
        w = np.array([np.where(even, *pair) for pair in pairs], self.dtype).reshape(len(pairs), x.shape[1])
        return self.storing(x, w, np.ones(w.shape, bool))

    def shape(self, case: Case) -> tuple[int, int, int]:
        """(M, K, N)"""
        return (*case.args[0].shape, len(case.args[3]) - 1)

    def dense(self, case: Case, of: Callable = lambda v: v) -> np.ndarray:
        """W (N,K) in float64, with the function `of` of its values; an index that comes twice adds up."""
        x, values, indices, indptr = case.args[:4]
        w = np.zeros((len(indptr) - 1, x.shape[1], *values.shape[1:]))
        np.add.at(w, (np.repeat(np.arange(len(w)), np.diff(indptr)), indices), of(values.astype(np.float64)))
        if w.ndim == 3:                    # blocks
            w = w.transpose(0, 2, 1).reshape(len(w) * w.shape[2], x.shape[1])
        return w[:self.shape(case)[2]]

    def bound(self, case: Case) -> np.ndarray | float:
        """(M, N) γ_k·(|x||W|ᵀ), k the values (or blocks) stored of that row of W; and underflow's share."""
        x, rows = np.abs(case.args[0].astype(np.float64)), int(np.prod(case.args[1].shape[1:]))
        k = np.repeat(np.diff(case.args[3]), rows)[:self.shape(case)[2]]
        return gamma(k) * (x @ self.dense(case, np.abs).T) + k * TINY

    def columns(self, case: Case, index) -> Case:
        """The case that computes only these columns of the output: rows of W."""
        x, values, indices, indptr = case.args
        counts = np.diff(indptr)
        owner = np.repeat(np.arange(len(counts)), counts)
        taken = [np.flatnonzero(owner == row) for row in np.arange(len(counts))[index]]
        take = np.concatenate([np.zeros(0, int), *taken])
        starts = np.concatenate([[0], np.cumsum(counts[index])]).astype(np.int32)
        return case.on(x, values[take], indices[take], starts, **self.per_column(case, index))

    def inner(self, case: Case, index) -> Case:
        """Columns of x in another order and the indices renamed, so that rows of W are no longer sorted."""
        x, values, indices, indptr, *more = case.args
        if isinstance(index, slice):       # the empty one: a W without columns stores nothing
            return case.on(x[:, index], values[index], indices[index], np.zeros_like(indptr), *more)
        renamed = np.argsort(index).astype(indices.dtype)
        return case.on(np.ascontiguousarray(x[:, index]), values, renamed[indices], indptr, *more)

    def longer(self, case: Case, extra: int, rng: np.random.Generator) -> Case:
        """Columns of x that no index names."""
        x, *w = case.args
        junk = self.numbers(rng, (x.shape[0], extra), "uniform").astype(x.dtype)
        return case.on(np.hstack([x, junk]), *w)


class QspmmCsr(OfIntegers, SpmmCsr):
    """u8|s8 x by int8 W."""

    name = "qspmm_csr"
