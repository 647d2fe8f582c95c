"""The domains of spmm_bsr and qspmm_bsr: x (M,K) by the transpose of W (N,K) in blocks of 4 or 8 rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from .case import STYLES, Case, floats, integers, near
from .domain import SEEDS, TINY, Domain, gamma

SIZES_K = near(4, 8, 16, 64, most=65) | st.sampled_from([255, 256, 257])


class SpmmBsr(Domain):
    """f32 x·Wᵀ; the arguments are x, blocks, indices, indptr, n."""

    name, exact = "spmm_bsr", False
    m_tiles, n_tiles = (8, 16, 32, 64), (4, 8, 16)
    dtype: type = np.float32

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

    def numbers(self, rng: np.random.Generator, shape: tuple[int, int], style: str) -> np.ndarray:
        """Activations."""
        return floats(rng, shape, style)

    def weights(self, rng: np.random.Generator, shape: tuple[int, int], style: str) -> np.ndarray:
        """Weights, dense."""
        return floats(rng, shape, style)

    def around(self, rng: np.random.Generator, n: int, dtype: np.dtype) -> dict:
        """Further options."""
        return {}

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

    def alternating(self, x: np.ndarray, pairs: list[tuple[int, int]]) -> Case:
        """The case whose row r of W has the two numbers of a pair in turn."""
        even = np.arange(x.shape[1]) % 2 == 0
        w = np.array([np.where(even, *pair) for pair in pairs], self.dtype).reshape(len(pairs), x.shape[1])
        return self.storing(x, w, np.ones(w.shape, bool))

    def stored(self, case: Case) -> np.ndarray:
        """(rows of blocks, K) which blocks there are."""
        _, _, indices, indptr, _ = case.args
        stored = np.zeros((len(indptr) - 1, case.args[0].shape[1]), bool)
        stored[np.repeat(np.arange(len(stored)), np.diff(indptr)), indices] = True
        return stored

    def shape(self, case: Case) -> tuple[int, int, int]:
        """(M, K, N)"""
        return (*case.args[0].shape, int(case.args[4][0]))

    def dense(self, case: Case, of: Callable = lambda v: v) -> np.ndarray:
        """W (N,K) in float64, with the function `of` of its values; an index that comes twice adds up."""
        x, blocks, indices, indptr, n = case.args
        w = np.zeros((len(indptr) - 1, x.shape[1], blocks.shape[1]))
        np.add.at(w, (np.repeat(np.arange(len(w)), np.diff(indptr)), indices), of(blocks.astype(np.float64)))
        return w.transpose(0, 2, 1).reshape(len(w) * blocks.shape[1], x.shape[1])[:n[0]]

    def exactly(self, case: Case) -> np.ndarray:
        """(M, N) the product in float64."""
        return case.args[0].astype(np.float64) @ self.dense(case).T

    def bound(self, case: Case) -> np.ndarray | float:
        """(M, N) γ_k·(|x||W|ᵀ), k the blocks of that row of W; and underflow's share."""
        x, rows = np.abs(case.args[0].astype(np.float64)), case.args[1].shape[1]
        k = np.repeat(np.diff(case.args[3]), rows)[:case.args[4][0]]
        return gamma(k) * (x @ self.dense(case, np.abs).T) + k * TINY

    def rows(self, case: Case, index) -> Case:
        """The case that computes only these rows of the output."""
        return case.on(case.args[0][index], *case.args[1:])

    def columns(self, case: Case, index) -> Case:
        """The case that computes only these columns of the output: rows of W, in new blocks."""
        rows = case.args[1].shape[1]
        w = self.dense(case)[index].astype(self.dtype)
        each = np.repeat(self.stored(case), rows, axis=0)[:case.args[4][0]][index]
        stored = np.zeros((-(-len(w) // rows) * rows, w.shape[1]), bool)
        stored[:len(w)] = each
        stored = stored.reshape(len(stored) // rows, rows, w.shape[1]).any(axis=1)
        per_column = {name: v[index] if isinstance(v, np.ndarray) else v for name, v in case.options.items()}
        return self.blocks(case.args[0], w, stored, rows, case.args[2].dtype, case.seed, per_column)

    def inner(self, case: Case, index) -> Case:
        """Columns of x in another order and the indices renamed, so that blocks are no longer sorted."""
        x, blocks, indices, indptr, n = case.args
        if isinstance(index, slice):       # the empty one: a W without columns stores nothing
            return case.on(x[:, index], blocks[index], indices[index], np.zeros_like(indptr), n)
        renamed = np.argsort(index).astype(indices.dtype)
        return case.on(np.ascontiguousarray(x[:, index]), blocks, renamed[indices], indptr, n)

    def longer(self, case: Case, extra: int, rng: np.random.Generator) -> Case:
        """Columns of x that no index names."""
        x, *w = case.args
        junk = self.numbers(rng, (x.shape[0], extra), "uniform").astype(x.dtype)
        return case.on(np.hstack([x, junk]), *w)

    def weight(self, case: Case) -> tuple[np.ndarray, ...]:
        """What is packed, and what `unpack` must give back."""
        return case.args[1:]

    def to_pack(self, case: Case) -> tuple:
        """Blocks don't say how many columns W has."""
        return *case.args[1:], case.args[0].shape[1]

    def held(self, case: Case) -> int:
        """All arrays but n."""
        return sum(w.nbytes for w in case.args[1:4])


class QspmmBsr(SpmmBsr):
    """u8|s8 x by int8 W, exact; a zero point, bias and requantisation."""

    name, exact, dtype = "qspmm_bsr", True, np.int8

    def numbers(self, rng, shape, style) -> np.ndarray:
        """Of either dtype."""
        return integers(rng, shape, rng.choice([np.uint8, np.int8]), style)

    def weights(self, rng, shape, style) -> np.ndarray:
        """int8."""
        return integers(rng, shape, np.int8, style)

    def around(self, rng, n, dtype) -> dict:
        """Each option is there or not."""
        return around_integers(rng, n, dtype)

    def bound(self, case: Case) -> float:
        """Zero: integers are exact."""
        return 0.0


def around_integers(rng: np.random.Generator, n: int, dtype: np.dtype) -> dict:
    """x_zero, bias, and what requantises the sums of n columns, each there or not."""
    options: dict = {}
    if rng.random() < 0.5:
        options["x_zero"] = int(integers(rng, (), dtype, "corners"))
    if rng.random() < 0.5:
        span = 2 ** int(rng.integers(1, 31))
        options["bias"] = rng.integers(-span, span, n, dtype=np.int32)
    if rng.random() < 0.5:
        scales = (10.0 ** rng.uniform(-5, 1, n + 1)).astype(np.float32)
        options["scale"] = scales[:n] if rng.random() < 0.5 else float(scales[n])
        options["out_dtype"] = rng.choice([np.uint8, np.int8])
        options["out_zero"] = int(integers(rng, (), options["out_dtype"], "corners"))
        if rng.random() < 0.3:
            options["clip"] = tuple(np.sort(integers(rng, 2, options["out_dtype"], "corners")).tolist())
        if rng.random() < 0.3:
            options["rounding"] = "fixed-point"
    return options
