"""The domains of erf, gelu and its gradient: numbers of every size, and those where the curves bend."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from ..kernels import erf, gelu, gelu_grad
from .case import STYLES, Case, floats
from .domain import SEEDS, TINY, U
from .domain_pass import CHANNELS, Pass, Wanted


class Erf(Pass):
    """erf x."""

    name, exact = "erf", False

    def cases(self) -> st.SearchStrategy[Case]:
        """Half of the time of ordinary size."""
        return st.builds(self._make, st.integers(1, 5), CHANNELS, st.sampled_from((*STYLES, "bends")), SEEDS)

    def _make(self, m: int, n: int, style: str, seed: int) -> Case:
        return Case((self.numbers(np.random.default_rng(seed), (m, n), style),), {}, seed)

    @staticmethod
    def numbers(rng: np.random.Generator, shape: tuple[int, ...], style: str) -> np.ndarray:
        """Numbers in one of the styles, or from −16 to 16."""
        if style == "bends":
            return rng.uniform(-16, 16, shape).astype(np.float32)
        return floats(rng, shape, style)

    def wanted(self, case: Case, spec: Callable, got: tuple[np.ndarray, ...]) -> Wanted:
        """6 units in the last place, which are 12u of the result at most."""
        want = erf.reference(case.args[0].astype(np.float64))
        return [(want, 12 * U * np.abs(want) + TINY)]


class Gelu(Erf):
    """x·Φ(x)."""

    name = "gelu"

    def wanted(self, case: Case, spec: Callable, got: tuple[np.ndarray, ...]) -> Wanted:
        """6u·|x|: in (1 + erf)/2 errors are relative to 1, however small Φ is."""
        x = case.args[0].astype(np.float64)
        return [(gelu.reference(x), 6 * U * np.abs(x) + 2 * TINY)]


class GeluGrad(Erf):
    """g·(Φ(x) + x·φ(x)), from g and x."""

    name = "gelu_grad"

    def _make(self, m: int, n: int, style: str, seed: int) -> Case:
        rng = np.random.default_rng(seed)
        g = floats(rng, (m, n), rng.choice(STYLES))
        return Case((g, self.numbers(rng, (m, n), style)), {}, seed)

    def wanted(self, case: Case, spec: Callable, got: tuple[np.ndarray, ...]) -> Wanted:
        """6u·|g|."""
        g, x = (a.astype(np.float64) for a in case.args)
        return [(gelu_grad.reference(g, x), 6 * U * np.abs(g) + 2 * TINY)]
