"""The domains of spmm_nm and qspmm_nm: x (M,K) by the transpose of W (N,K), of which kept:of is there."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from .case import STYLES, Case, near
from .domain import SEEDS, TINY, gamma
from .domain_sparse import OfIntegers, Sparse


class SpmmNm(Sparse):
    """f32 x·Wᵀ; the arguments are x, values, indices."""

    name = "spmm_nm"
    m_tiles, n_tiles = (1, 4, 8), (16, 32)

    def cases(self) -> st.SearchStrategy[Case]:
        """Mostly 2:4; groups around those of a unit, 8, and of a line, 2."""
        m, n = near(*self.tiles(0), most=17), near(*self.tiles(1), most=49)
        groups = st.sampled_from([0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 33])
        pattern = st.sampled_from([(2, 4)] * 4 + [(1, 4), (3, 4), (4, 8), (1, 2), (1, 1)])
        return st.builds(self._make, m, groups, n, pattern, st.sampled_from(STYLES), SEEDS)

    def _make(self, m, groups, n, pattern, style, seed) -> Case:
        rng, (kept, of) = np.random.default_rng(seed), pattern
        order = rng.random((n, groups, of)).argsort(axis=2)[..., :kept].astype(np.uint8)
        x, values = self.numbers(rng, (m, groups * of), style), self.weights(rng, order.shape, style)
        return Case((x, values, order), self.around(rng, n, x.dtype), seed)

    def alternating(self, x: np.ndarray, pairs: list[tuple[int, int]]) -> Case:
        """The case of 2:4 whose row r of W keeps the two numbers of a pair in each group."""
        values = np.zeros((len(pairs), x.shape[1] // 4, 2), self.dtype)
        values[...] = np.array(pairs)[:, None]
        return Case((x, values, np.tile(np.array([1, 2], np.uint8), (*values.shape[:2], 1))))

    def shape(self, case: Case) -> tuple[int, int, int]:
        """(M, K, N)"""
        return (*case.args[0].shape, len(case.args[1]))

    def of(self, case: Case) -> int:
        """How many columns a group has."""
        return case.args[0].shape[1] // max(case.args[1].shape[1], 1)

    def dense(self, case: Case) -> np.ndarray:
        """W (N,K) in float64; a place that comes twice adds up."""
        x, values, indices = case.args
        n, groups, _ = values.shape
        w = np.zeros((n, groups, self.of(case)))
        np.add.at(w, (*np.ogrid[:n, :groups, :1][:2], indices), values)
        return w.reshape(n, x.shape[1])

    def bound(self, case: Case) -> np.ndarray | float:
        """(M, N) γ_k·(|x||W|ᵀ), k the numbers kept of a row; and underflow's share."""
        x, values, indices = case.args
        k = values.shape[1] * values.shape[2]
        sizes = self.dense(case.on(x, np.abs(values), indices))
        return gamma(k) * (np.abs(x.astype(np.float64)) @ sizes.T) + k * TINY

    def columns(self, case: Case, index) -> Case:
        """The case that computes only these columns of the output: rows of W."""
        x, values, indices = case.args
        return case.on(x, values[index], indices[index], **self.per_column(case, index))

    def inner(self, case: Case, index) -> Case:
        """The case with groups in another order, and the columns of each."""
        x, values, indices = case.args
        if isinstance(index, slice):       # none
            return case.on(x[:, index], values[:, index], indices[:, index])
        of, rng = self.of(case), case.rng()
        groups, places = rng.permutation(values.shape[1]), rng.permutation(of)
        x = x.reshape(len(x), values.shape[1], of)[:, groups][:, :, places].reshape(x.shape)
        return case.on(x, values[:, groups], np.argsort(places).astype(np.uint8)[indices[:, groups]])

    def longer(self, case: Case, extra: int, rng: np.random.Generator) -> Case:
        """Further groups of which zeros are kept."""
        x, values, indices = case.args
        n, groups, kept = values.shape
        of = self.of(case) if groups else 4
        junk = self.numbers(rng, (len(x), extra * of), "uniform").astype(x.dtype)
        zeros = np.zeros((n, extra, kept), values.dtype)
        places = rng.integers(0, of, zeros.shape, dtype=np.uint8)
        return case.on(np.hstack([x, junk]), np.hstack([values, zeros]), np.hstack([indices, places]))

    def held(self, case: Case) -> int:
        """The values; two bits for a place are enough of groups of four."""
        _, values, _ = case.args
        return values.nbytes + values.size // 4


class QspmmNm(OfIntegers, SpmmNm):
    """u8|s8 x by int8 W."""

    name = "qspmm_nm"
