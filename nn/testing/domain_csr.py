"""The domain of spmm_csr: x (M,K) by the transpose of a sparse W (N,K), stored row by row."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from .case import STYLES, Case, floats
from .domain import SEEDS, TINY, Domain, gamma


class SpmmCsr(Domain):
    """f32 x·Wᵀ; the arguments are x, values, indices, indptr."""

    name, exact = "spmm_csr", False
    m_tiles, n_tiles = (8, 16, 32, 64), (1, 4, 16)

    def cases(self) -> st.SearchStrategy[Case]:
        """From no stored value to all of them; whole rows of W empty; 16- and 32-bit indices."""
        return st.builds(self._make, *self.sizes(), st.sampled_from([0.0, 0.05, 0.3, 1.0]),
                         st.sampled_from([np.uint16, np.int32]), st.sampled_from(STYLES), SEEDS)

    def _make(self, m, k, n, density, index_dtype, style, seed) -> Case:
        rng = np.random.default_rng(seed)
        stored = rng.random((n, k)) < density
        stored[rng.random(n) < 0.2] = False
        return self.storing(floats(rng, (m, k), style), floats(rng, (n, k), style), stored, index_dtype, seed)

    def storing(self, x, w, stored, index_dtype=np.int32, seed: int = 0) -> Case:
        """The case whose W holds w where `stored` (N,K) is true; a stored value may well be zero."""
        row, column = np.nonzero(stored)
        indptr = np.concatenate([[0], np.cumsum(stored.sum(1))]).astype(np.int32)
        return Case((x, w[row, column], column.astype(index_dtype), indptr), {}, seed)

    def shape(self, case: Case) -> tuple[int, int, int]:
        """(M, K, N)"""
        return (*case.args[0].shape, len(case.args[3]) - 1)

    def dense(self, case: Case, of: Callable = lambda v: v) -> np.ndarray:
        """W (N,K) in float64, with the function `of` of its values; an index that comes twice adds up."""
        x, values, indices, indptr = case.args
        n = len(indptr) - 1
        w = np.zeros((n, x.shape[1]))
        np.add.at(w, (np.repeat(np.arange(n), np.diff(indptr)), indices), of(values.astype(np.float64)))
        return w

    def exactly(self, case: Case) -> np.ndarray:
        """(M, N) the product in float64."""
        return case.args[0].astype(np.float64) @ self.dense(case).T

    def bound(self, case: Case) -> np.ndarray:
        """(M, N) γ_k·(|x||W|ᵀ), k the stored values of that row of W; and underflow's share."""
        x, k = np.abs(case.args[0].astype(np.float64)), np.diff(case.args[3])
        return gamma(k) * (x @ self.dense(case, np.abs).T) + k * TINY

    def rows(self, case: Case, index) -> Case:
        """The case that computes only these rows of the output."""
        return case.on(case.args[0][index], *case.args[1:])

    def columns(self, case: Case, index) -> Case:
        """The case that computes only these columns of the output: rows of W."""
        x, values, indices, indptr = case.args
        counts = np.diff(indptr)
        owner = np.repeat(np.arange(len(counts)), counts)
        taken = [np.flatnonzero(owner == row) for row in np.arange(len(counts))[index]]
        take = np.concatenate([np.zeros(0, int), *taken])
        starts = np.concatenate([[0], np.cumsum(counts[index])]).astype(np.int32)
        return case.on(x, values[take], indices[take], starts)

    def inner(self, case: Case, index) -> Case:
        """Columns of x in another order and the indices renamed, so that rows of W are no longer sorted."""
        x, values, indices, indptr = case.args
        if isinstance(index, slice):       # the empty one: a W without columns stores nothing
            return case.on(x[:, index], values[index], indices[index], np.zeros_like(indptr))
        renamed = np.argsort(index).astype(indices.dtype)
        return case.on(np.ascontiguousarray(x[:, index]), values, renamed[indices], indptr)

    def longer(self, case: Case, extra: int, rng: np.random.Generator) -> Case:
        """Columns of x that no index names."""
        x, *w = case.args
        return case.on(np.hstack([x, floats(rng, (x.shape[0], extra), "uniform")]), *w)

    def weight(self, case: Case) -> tuple[np.ndarray, ...]:
        """What is packed, and what `unpack` must give back."""
        return case.args[1:]

    def to_pack(self, case: Case) -> tuple:
        """CSR doesn't say how many columns W has."""
        return *case.args[1:], case.args[0].shape[1]
