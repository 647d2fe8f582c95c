"""The domain of half_gemm: a (M,K) of float32 or float16 by b (K,N), float16 or the bits of bfloat16."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from ..kernels.half_gemm import floats_of
from .case import STYLES, Case, floats
from .domain import SEEDS, Gemm

HALVES = np.float16, np.uint16
LARGEST = 65504.0                          # of float16


def as_halves(values: np.ndarray, dtype: type) -> np.ndarray:
    """float32 as float16, or cut off to bfloat16."""
    return values.astype(np.float16) if dtype is np.float16 else (values.view(np.uint32) >> 16).astype("u2")


def as_floats(a: np.ndarray) -> np.ndarray:
    """What is 16 bits as float32."""
    return a if a.dtype == np.float32 else floats_of(a)


class HalfGemm(Gemm):
    """f32 or f16 (M,K) · f16 (K,N), or bfloat16."""

    name, exact = "half_gemm", False
    m_tiles, n_tiles = (1, 2, 4, 6, 8, 12), (16, 32, 48, 64)
    kinds = tuple((a, b) for a in (np.float32, np.float16) for b in HALVES)  # of a, and of b
    apart = 1                              # of the 65,536 numbers one in so many is tried in one case

    def cases(self) -> st.SearchStrategy[Case]:
        """All formats; of float16 also both zeros, subnormals and the largest numbers."""
        return st.builds(self._of, *self.sizes(), st.sampled_from(self.kinds), st.sampled_from(STYLES), SEEDS)

    def _of(self, m: int, k: int, n: int, kinds: tuple[type, type], style: str, seed: int) -> Case:
        rng = np.random.default_rng(seed)
        of_a, of_b = kinds
        a, b = self._numbers(rng, (m, k), of_a, style), self._numbers(rng, (k, n), of_b, style)
        return Case((a, b), {}, seed)

    def _numbers(self, rng: np.random.Generator, shape: tuple[int, int], dtype: type, style: str
                 ) -> np.ndarray:
        if dtype is np.float32:
            return floats(rng, shape, style)
        if dtype is np.float16 and style != "sparse":
            bits = rng.integers(0, 0x7c00, shape) | rng.integers(0, 2, shape) << 15  # all that are finite
            return bits.astype(np.uint16).view(np.float16)
        return as_halves(np.clip(floats(rng, shape, style), -6e4, 6e4), dtype)

    def _dense(self, case: Case) -> Case:
        return case.on(*map(as_floats, case.args))

    def exactly(self, case: Case) -> np.ndarray:
        """(M, N) the product in float64."""
        return super().exactly(self._dense(case))

    def bound(self, case: Case) -> np.ndarray:
        """(M, N) that of `gemm`: what 16 bits stand for is exact."""
        return super().bound(self._dense(case))

    def longer(self, case: Case, extra: int, rng: np.random.Generator) -> Case:
        """The same; what is added to an a of float16 is, too."""
        found = super().longer(case.on(as_floats(case.args[0]), case.args[1]), extra, rng)
        a, b = found.args
        dtype = case.args[0].dtype.type
        return found.on(a if dtype is np.float32 else as_halves(np.clip(a, -LARGEST, LARGEST), dtype), b)

    def whole(self, a: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Integers up to 99 are among all of them."""
        integers = rng.integers(-99, 100, a.shape).astype(np.float32)
        return integers if a.dtype == np.float32 else as_halves(integers, a.dtype.type)

    def spoiled(self, a: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One of 16 bits, too."""
        one = super().spoiled(as_floats(a), rng)
        return one if a.dtype == np.float32 else as_halves(one, a.dtype.type)


class HalfGemmOnDevice(HalfGemm):
    """half_gemm on the device, whose emulation takes a second for 65,536 columns."""

    variants = tuple(f"half_gemm_cuda_{rung}" for rung in ("naive", "shared", "registers"))
    apart = 16
