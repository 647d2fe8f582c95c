"""The domain of codebook_gemm: x (M,K) by the transpose of W (N,K), codes into a codebook."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from .case import STYLES, Case, floats
from .domain import SEEDS, TINY, Domain, gamma


class CodebookGemm(Domain):
    """f32 x·codebook[indices]ᵀ; the arguments are x, indices, codebook."""

    name, exact = "codebook_gemm", False
    m_tiles, n_tiles = (1, 2, 3, 4, 6, 8, 12), (16, 32, 48, 64)

    def cases(self) -> st.SearchStrategy[Case]:
        """Codebooks of every width, full and not; one of 256 numbers holds a 0, as `longer` wants it."""
        sizes = st.sampled_from([1, 2, 4, 15, 16, 17, 32, 33, 64, 65, 100, 128, 129, 255, 256])
        return st.builds(self._make, *self.sizes(), sizes, st.sampled_from(STYLES), SEEDS)

    def _make(self, m: int, k: int, n: int, size: int, style: str, seed: int) -> Case:
        rng = np.random.default_rng(seed)
        codebook = floats(rng, (size,), style)
        codebook[-1] *= size < 256
        indices = rng.integers(0, size, (n, k), dtype=np.uint8, endpoint=False)
        return Case((floats(rng, (m, k), style), indices, codebook), {}, seed)

    def shape(self, case: Case) -> tuple[int, int, int]:
        """(M, K, N)"""
        return (*case.args[0].shape, len(case.args[1]))

    def dense(self, case: Case) -> np.ndarray:
        """W (N,K) in float64."""
        return case.args[2].astype(np.float64)[case.args[1]]

    def exactly(self, case: Case) -> np.ndarray:
        """(M, N) the product in float64."""
        return case.args[0].astype(np.float64) @ self.dense(case).T

    def bound(self, case: Case) -> np.ndarray:
        """(M, N) γ_K·(|x||W|ᵀ); and underflow's share."""
        x, k = np.abs(case.args[0].astype(np.float64)), case.args[1].shape[1]
        return gamma(k) * (x @ np.abs(self.dense(case)).T) + k * TINY

    def rows(self, case: Case, index) -> Case:
        """The case that computes only these rows of the output."""
        return case.on(case.args[0][index], *case.args[1:])

    def columns(self, case: Case, index) -> Case:
        """The case that computes only these columns of the output: rows of W."""
        x, indices, codebook = case.args
        return case.on(x, np.ascontiguousarray(indices[index]), codebook)

    def inner(self, case: Case, index) -> Case:
        """The case with these inner indices in this order."""
        x, indices, codebook = case.args
        return case.on(*(np.ascontiguousarray(a[:, index]) for a in (x, indices)), codebook)

    def longer(self, case: Case, extra: int, rng: np.random.Generator) -> Case:
        """Codes of a 0 at the end of every row of W: any activations there add nothing."""
        x, indices, codebook = case.args
        if codebook[-1] != 0:
            codebook = np.append(codebook, np.float32(0))
        zero = np.full((len(indices), extra), len(codebook) - 1, np.uint8)
        junk = floats(rng, (len(x), extra), "uniform")
        return case.on(np.hstack([x, junk]), np.hstack([indices, zero]), codebook)

    def weight(self, case: Case) -> tuple[np.ndarray, ...]:
        """What is packed, and what `unpack` must give back."""
        return case.args[1:]

    def held(self, case: Case) -> int:
        """Half a byte for a code, where that suffices."""
        _, indices, codebook = case.args
        return indices.size * (4 if len(codebook) <= 16 else 8) // 8 + codebook.nbytes
