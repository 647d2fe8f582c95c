"""The domains of the kernels of ±1 that are held as bits: their product, and what makes bits of floats."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from ..kernels.sign_bits import in_words, signs
from .case import STYLES, Case, floats, near
from .domain import SEEDS, Gemm
from .domain_pass import Pass

SIZES_K = near(32, 64, most=97) | near(992, 1024, most=1025)  # words; steps that AVX2 adds in bytes


def signed(rng: np.random.Generator, shape: tuple[int, ...], style: str) -> np.ndarray:
    """+1 and −1 in one of four styles; "corners" has rows of nothing but one of them."""
    share = {"uniform": 0.5, "sparse": 0.1, "constant": float(rng.integers(2)),
             "corners": rng.integers(0, 2, (*shape[:-1], 1))}[style]
    return np.where(rng.random(shape) < share, -1, 1).astype(np.float32)


def as_bits(x: np.ndarray) -> np.ndarray:
    """The bits of rows (…, K) of +1 and −1."""
    return in_words(x < 0)


class Bgemm(Gemm):
    """±1 (M,K)·(N,K)ᵀ; the arguments are both as bits, and k."""

    name, exact = "bgemm", True
    m_tiles, n_tiles = (1, 4, 8), (16, 32, 64)

    def cases(self) -> st.SearchStrategy[Case]:
        """Sizes around words, tiles and what bytes can hold."""
        m, _, n = self.sizes()
        return st.builds(self._make, m, SIZES_K, n, st.sampled_from(STYLES), SEEDS)

    def _make(self, m: int, k: int, n: int, style: str, seed: int) -> Case:
        rng = np.random.default_rng(seed)
        return self.of(Case((), {}, seed), signed(rng, (m, k), style), signed(rng, (n, k), style))

    @staticmethod
    def of(case: Case, a: np.ndarray, b: np.ndarray) -> Case:
        """The case with the bits of these ±1 (M, K) and (N, K)."""
        return case.on(as_bits(a), as_bits(b), k=a.shape[1])

    @staticmethod
    def signs(case: Case) -> tuple[np.ndarray, ...]:
        """The ±1 that both arguments stand for."""
        return tuple(signs(bits, case.options["k"]) for bits in case.args)

    def shape(self, case: Case) -> tuple[int, int, int]:
        """(M, K, N)"""
        return len(case.args[0]), case.options["k"], len(case.args[1])

    def bound(self, case: Case) -> float:
        """Zero: integers are exact."""
        return 0.0

    def columns(self, case: Case, index) -> Case:
        """The case that computes only these columns of the output: rows of b."""
        return case.on(case.args[0], np.ascontiguousarray(case.args[1][index]))

    def inner(self, case: Case, index) -> Case:
        """The case with these inner indices in this order."""
        return self.of(case, *(x[:, index] for x in self.signs(case)))

    def longer(self, case: Case, extra: int, rng: np.random.Generator) -> Case:
        """There is no 0 among ±1; but where a number of a comes twice, weights +1 and −1 add nothing."""
        a, b = self.signs(case)
        junk = np.repeat(signed(rng, (len(a), extra), "uniform"), 2, axis=1)
        nothing = np.tile(np.array([1, -1], np.float32), (len(b), extra))
        return self.of(case, np.hstack([a, junk]), np.hstack([b, nothing]))

    def to_pack(self, case: Case) -> tuple:
        """The words do not say how many bits they hold."""
        return case.args[1], case.options["k"]


class SignBits(Pass):
    """float32 rows → their signs as bits; zeros of both signs among them."""

    name, exact, takes_out = "sign_bits", True, True

    def cases(self) -> st.SearchStrategy[Case]:
        """Rows of some words, and of parts of them."""
        return st.builds(self._make, st.integers(0, 5), near(32, 64, most=97), st.sampled_from(STYLES), SEEDS)

    def _make(self, m: int, k: int, style: str, seed: int) -> Case:
        rng = np.random.default_rng(seed)
        x = floats(rng, (m, k), style)
        zeros = rng.choice(np.array([0.0, -0.0, np.inf, -np.inf], np.float32), (m, k))
        return Case((np.where(rng.random((m, k)) < 0.2, zeros, x),), {}, seed)

    def empties(self, case: Case) -> dict[str, Case]:
        """No rows, no numbers in a row."""
        (x,) = case.args
        return {"rows": case.on(x[:0]), "numbers": case.on(x[:, :0])}
