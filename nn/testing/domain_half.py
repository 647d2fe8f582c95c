"""The domain of half_gemm: a (M,K) by a b (K,N) of 16-bit floats, float16 or the bits of bfloat16."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from ..kernels.half_gemm import floats_of
from .case import STYLES, Case, floats
from .domain import SEEDS, Gemm

HALVES = np.float16, np.uint16


def as_halves(values: np.ndarray, dtype: type) -> np.ndarray:
    """float32 as float16, or cut off to bfloat16."""
    return values.astype(np.float16) if dtype is np.float16 else (values.view(np.uint32) >> 16).astype("u2")


class HalfGemm(Gemm):
    """f32 (M,K) · f16 (K,N), or bfloat16."""

    name, exact = "half_gemm", False
    m_tiles, n_tiles = (1, 2, 4, 6, 8, 12), (16, 32, 48, 64)

    def cases(self) -> st.SearchStrategy[Case]:
        """Both formats; of float16 also both zeros, subnormals and the largest numbers."""
        return st.builds(self._of, *self.sizes(), st.sampled_from(HALVES), st.sampled_from(STYLES), SEEDS)

    def _of(self, m: int, k: int, n: int, dtype: type, style: str, seed: int) -> Case:
        rng = np.random.default_rng(seed)
        if dtype is np.float16 and style != "sparse":
            bits = rng.integers(0, 0x7c00, (k, n)) | rng.integers(0, 2, (k, n)) << 15  # all that are finite
            b = bits.astype(np.uint16).view(np.float16)
        else:
            b = as_halves(np.clip(floats(rng, (k, n), style), -6e4, 6e4), dtype)
        return Case((floats(rng, (m, k), style), b), {}, seed)

    def _dense(self, case: Case) -> Case:
        return case.on(case.args[0], floats_of(case.args[1]))

    def exactly(self, case: Case) -> np.ndarray:
        """(M, N) the product in float64."""
        return super().exactly(self._dense(case))

    def bound(self, case: Case) -> np.ndarray:
        """(M, N) that of `gemm`: what 16 bits stand for is exact."""
        return super().bound(self._dense(case))

    def whole(self, a: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Integers up to 99 are among both."""
        integers = rng.integers(-99, 100, a.shape).astype(np.float32)
        return integers if a.dtype == np.float32 else as_halves(integers, a.dtype.type)

    def spoiled(self, a: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One of b, too."""
        one = super().spoiled(floats_of(a) if a.dtype != np.float32 else a, rng)
        return one if a.dtype == np.float32 else as_halves(one, a.dtype.type)
