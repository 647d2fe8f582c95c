"""The domain of pow2_gemm: bytes times weights that are 0 or a power of two, as codes."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from .case import STYLES, Case, integers
from .domain import SEEDS, Qgemm

CODES = np.array([code for code in range(16) if code != 8], np.uint8)


class Pow2Gemm(Qgemm):
    """u8|s8 (M,K) · W (K,N) given by codes; a zero point of a, and a bias, or not."""

    name = "pow2_gemm"
    m_tiles, n_tiles = (1, 4, 8), (16, 32)

    def cases(self) -> st.SearchStrategy[Case]:
        """Codes of all weights, of the largest only, or mostly of 0; biases of any size."""
        return st.builds(self._make, *self.sizes(), st.sampled_from([np.uint8, np.int8]),
                         st.sampled_from(STYLES), st.sampled_from(STYLES), st.booleans(), st.booleans(),
                         SEEDS)

    def _make(self, m, k, n, dtype, a_style, style, a_zero, bias, seed) -> Case:
        rng = np.random.default_rng(seed)
        some = {"corners": [0, 7, 9, 15], "constant": [rng.choice(CODES)]}.get(style, CODES)
        codes = rng.choice(np.array(some, np.uint8), (k, n))
        if style == "sparse":
            codes[rng.random((k, n)) < 0.9] = 0
        options = {"a_zero": int(integers(rng, (), dtype, "corners"))} if a_zero else {}
        if bias:
            span = 2 ** int(rng.integers(1, 31))
            options["bias"] = rng.integers(-span, span, n, dtype=np.int32)
        return Case((integers(rng, (m, k), dtype, a_style), codes), options, seed)

    def longer(self, case: Case, extra: int, rng: np.random.Generator) -> Case:
        """Codes of weights that are 0."""
        a, codes = case.args
        junk = integers(rng, (a.shape[0], extra), a.dtype.type, "uniform")
        return case.on(np.hstack([a, junk]), np.vstack([codes, np.zeros((extra, codes.shape[1]), np.uint8)]))

    def held(self, case: Case) -> int:
        """Half a byte for a code, and how many weights of each column are negative."""
        return case.args[1].size // 2 + 4 * case.args[1].shape[1]
