"""The domains of the kernels of training: relu, and what it shares with batch norm and the pools.

Their results are tuples of arrays, and along the last axis, which all arrays have, they are many results that
have nothing to do with each other: the channels of an image.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from .case import STYLES, Case, floats, near
from .domain import SEEDS, Domain

Wanted = list[tuple[np.ndarray, np.ndarray | float]]
CHANNELS = near(1, 8, 16, most=49).filter(bool)


class Pass(Domain):
    """The calls of a kernel of training."""

    takes_out = False
    m_tiles, n_tiles = (1,), (1, 8, 16)

    def flat(self, function: Callable) -> Callable:
        """Whatever comes, as a tuple of the arrays in it."""
        def run(*arrays, **options):
            with np.errstate(all="ignore"):
                got = function(*arrays, **options)
            return tuple(x for x in (got if isinstance(got, tuple) else (got,)) if x is not None)
        return run

    def take(self, case: Case, index: np.ndarray) -> Case:
        """The case with some of its channels."""
        return case.on(*(np.ascontiguousarray(a[..., index]) for a in case.args))

    def empties(self, case: Case) -> dict[str, Case]:
        """The case without any."""
        return {"the channels": self.take(case, np.zeros(0, int))}

    def wanted(self, case: Case, spec: Callable, got: tuple[np.ndarray, ...]) -> Wanted:
        """For each result what it must be, and how far from that it may be: not at all."""
        return [(want, 0.0) for want in spec(*case.args, **case.options)]


class Relu(Pass):
    """max(x, 0)."""

    name, exact = "relu", True

    def cases(self) -> st.SearchStrategy[Case]:
        """Matrices; everything else is a matter of layout."""
        return st.builds(self._make, st.integers(0, 5), CHANNELS, st.sampled_from(STYLES), SEEDS)

    def _make(self, m: int, n: int, style: str, seed: int) -> Case:
        return Case((floats(np.random.default_rng(seed), (m, n), style),), {}, seed)


class ReluGrad(Relu):
    """Its gradient, from g and y."""

    name = "relu_grad"

    def _make(self, m: int, n: int, style: str, seed: int) -> Case:
        rng = np.random.default_rng(seed)
        g, x = floats(rng, (m, n), style), floats(rng, (m, n), style)
        return Case((g, np.maximum(x, 0)), {}, seed)
