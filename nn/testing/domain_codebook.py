"""The domain of codebook_gemm: x (M,K) by the transpose of W (N,K), codes into a codebook."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from ..kernels.nbit_gemm import quantized
from .case import STYLES, Case, floats
from .domain import SEEDS, TINY, Domain, gamma


class CodebookGemm(Domain):
    """f32 x·codebook[indices]ᵀ; the arguments are x, indices, codebook."""

    name, exact = "codebook_gemm", False
    m_tiles, n_tiles = (1, 2, 3, 4, 6, 8, 12), (16, 32, 48, 64)

    def cases(self) -> st.SearchStrategy[Case]:
        """Codebooks of every width, full and not; one of 256 numbers holds a 0, as `longer` wants it."""
        sizes = st.sampled_from([1, 2, 4, 15, 16, 17, 32, 33, 64, 65, 100, 128, 129, 255, 256])
        kinds = st.sampled_from(["float32", "int8"])
        return st.builds(self._make, *self.sizes(), sizes, kinds, st.sampled_from(STYLES), SEEDS)

    def _make(self, m: int, k: int, n: int, size: int, activations: str, style: str, seed: int) -> Case:
        rng = np.random.default_rng(seed)
        codebook = floats(rng, (size,), style)
        codebook[-1] *= size < 256
        indices = rng.integers(0, size, (n, k), dtype=np.uint8, endpoint=False)
        return Case((floats(rng, (m, k), style), indices, codebook), {"activations": activations}, seed)

    def shape(self, case: Case) -> tuple[int, int, int]:
        """(M, K, N)"""
        return (*case.args[0].shape, len(case.args[1]))

    def int8(self, case: Case) -> bool:
        """Whether x and the codebook are rounded to integers."""
        return case.options.get("activations") == "int8"

    def dense(self, case: Case) -> np.ndarray:
        """W (N,K) in float64, of rounded numbers where they are."""
        _, indices, codebook = case.args
        if self.int8(case):
            p, t = quantized(codebook[None], len(codebook))
            return (p * t.astype(np.float64))[0][indices]
        return codebook.astype(np.float64)[indices]

    def activations(self, case: Case) -> np.ndarray:
        """What stands for x (M,K), in float64: x itself, or its integers times their scales."""
        x = case.args[0]
        if not self.int8(case):
            return x.astype(np.float64)
        q, s = quantized(x, max(x.shape[1], 1))
        return q * s.astype(np.float64) if s.size else x.astype(np.float64)

    def exactly(self, case: Case) -> np.ndarray:
        """(M, N) the product in float64, of integers where there are some."""
        return self.activations(case) @ self.dense(case).T

    def bound(self, case: Case) -> np.ndarray:
        """(M, N) γ_K·(|x||W|ᵀ), with int8 three roundings for K; and underflow's share, which the sum of
        integers multiplies."""
        x, k = np.abs(self.activations(case)), case.args[1].shape[1]
        bound = gamma(3 if self.int8(case) else k) * (x @ np.abs(self.dense(case)).T)
        return bound + k * TINY * (127**2 if self.int8(case) else 1)

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
        """Codes of a 0 at the end of every row of W: any activations there add nothing; but none larger than
        those of the row, which would be rounded otherwise."""
        x, indices, codebook = case.args
        if codebook[-1] != 0:
            codebook = np.append(codebook, np.float32(0))
        zero = np.full((len(indices), extra), len(codebook) - 1, np.uint8)
        junk = floats(rng, (len(x), extra), "uniform")
        if self.int8(case):
            junk = x[:, rng.integers(0, x.shape[1], extra)] if x.shape[1] else junk * 0
        return case.on(np.hstack([x, junk]), np.hstack([indices, zero]), codebook)

    def weight(self, case: Case) -> tuple[np.ndarray, ...]:
        """What is packed, and what `unpack` must give back."""
        return case.args[1:]

    def held(self, case: Case) -> int:
        """Half a byte for a code, where that suffices."""
        _, indices, codebook = case.args
        return indices.size * (4 if len(codebook) <= 16 else 8) // 8 + codebook.nbytes
