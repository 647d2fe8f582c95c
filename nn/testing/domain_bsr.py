"""The domains of spmm_bsr and qspmm_bsr: x (M,K) by the transpose of W (N,K) in blocks of 4 or 8 rows."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from .case import STYLES, Case, near
from .domain import SEEDS
from .domain_csr import SpmmCsr
from .domain_sparse import OfIntegers

SIZES_K = near(4, 8, 16, 64, most=65) | st.sampled_from([255, 256, 257])


class SpmmBsr(SpmmCsr):
    """f32 x·Wᵀ; the arguments are x, blocks, indices, indptr, n."""

    name = "spmm_bsr"
    m_tiles, n_tiles = (8, 16, 32, 64), (4, 8, 16)

    def sizes(self) -> tuple[st.SearchStrategy[int], ...]:
        """Rows of W that fill their last block, and not."""
        return near(*self.tiles(0), most=65), SIZES_K, near(4, 8, 16, most=33)

    def cases(self) -> st.SearchStrategy[Case]:
        """From no stored block to all of them; rows of blocks that are empty; 16- and 32-bit indices."""
        density, width = st.sampled_from([0.0, 0.1, 0.4, 1.0]), st.sampled_from([np.uint16, np.int32])
        return st.builds(self._make, *self.sizes(), st.sampled_from([4, 8]), density, width,
                         st.sampled_from(STYLES), SEEDS)

    def _make(self, m, k, n, rows, density, index_dtype, style, seed) -> Case:
        rng = np.random.default_rng(seed)
        stored = rng.random((-(-n // rows), k)) < density
        stored[rng.random(len(stored)) < 0.2] = False
        x, w = self.numbers(rng, (m, k), style), self.weights(rng, (n, k), style)
        return self.blocks(x, w, stored, rows, index_dtype, seed, self.around(rng, n, x.dtype))

    def blocks(self, x, w, stored, rows, index_dtype=np.int32, seed: int = 0, options: dict | None = None
               ) -> Case:
        """The case whose W has the blocks of w (N,K) where `stored` (rows of blocks, K) is true."""
        n, k = w.shape
        padded = np.zeros((len(stored) * rows, k), w.dtype)
        padded[:n] = w
        row, column = np.nonzero(stored)
        indptr = np.concatenate([[0], np.cumsum(stored.sum(1))]).astype(np.int32)
        blocks = padded.reshape(len(stored), rows, k)[row, :, column]
        return Case((x, blocks, column.astype(index_dtype), indptr, np.array([n], np.int32)), options or {},
                    seed)

    def storing(self, x, w, stored, index_dtype=np.int32, seed: int = 0) -> Case:
        """The case whose W holds w where `stored` (N,K) is true, in the fewest blocks of 4."""
        padded = np.zeros((-(-len(w) // 4) * 4, w.shape[1]), bool)
        padded[:len(w)] = stored
        stored_blocks = padded.reshape(len(padded) // 4, 4, w.shape[1]).any(axis=1)
        return self.blocks(x, w * stored, stored_blocks, 4, index_dtype, seed)

    def stored(self, case: Case) -> np.ndarray:
        """(rows of blocks, K) which blocks there are."""
        _, _, indices, indptr, _ = case.args
        stored = np.zeros((len(indptr) - 1, case.args[0].shape[1]), bool)
        stored[np.repeat(np.arange(len(stored)), np.diff(indptr)), indices] = True
        return stored

    def shape(self, case: Case) -> tuple[int, int, int]:
        """(M, K, N)"""
        return (*case.args[0].shape, int(case.args[4][0]))

    def columns(self, case: Case, index) -> Case:
        """The case that computes only these columns of the output: rows of W, in new blocks."""
        rows = case.args[1].shape[1]
        w = self.dense(case)[index].astype(self.dtype)
        each = np.repeat(self.stored(case), rows, axis=0)[:case.args[4][0]][index]
        stored = np.zeros((-(-len(w) // rows) * rows, w.shape[1]), bool)
        stored[:len(w)] = each
        stored = stored.reshape(len(stored) // rows, rows, w.shape[1]).any(axis=1)
        return self.blocks(case.args[0], w, stored, rows, case.args[2].dtype, case.seed,
                           case.options | self.per_column(case, index))

    def held(self, case: Case) -> int:
        """All arrays but n."""
        return sum(w.nbytes for w in case.args[1:4])


class QspmmBsr(OfIntegers, SpmmBsr):
    """u8|s8 x by int8 W."""

    name = "qspmm_bsr"
