"""The domain of adam_step: several tensors of any sizes, their gradients and averages, all settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from hypothesis import strategies as st

from .case import STYLES, Case, floats, near
from .domain import SEEDS, Domain

SETTINGS = st.fixed_dictionaries(
    {"lr": st.sampled_from([1e-3, 0.1, 0.0, 3.0]), "eps": st.sampled_from([1e-8, 0.1, 1e-30]),
     "betas": st.sampled_from([(0.9, 0.999), (0.0, 0.0), (0.5, 0.75), (0.95, 0.3)])},
    optional={"weight_decay": st.sampled_from([0.0, 0.01, 1.0]), "decoupled": st.booleans()})


class AdamStep(Domain):
    """The arguments of a Case are p₁ … p_k, g₁ … g_k, m₁ … m_k, v₁ … v_k, written in place as by the kernel.

    What a run returns is p, m and v of all tensors, end to end.
    """

    name, exact, takes_out = "adam_step", True, False
    m_tiles, n_tiles = (1,), (1, 8, 16)

    def flat(self, function: Callable) -> Callable:
        """The four lists as one row of arrays."""
        def run(*arrays, **options):
            p, g, m, v = split(arrays)
            function(p, g, m, v, **options)
            return np.concatenate([np.zeros(0, np.float32), *(x.ravel() for x in (*p, *m, *v))])
        return run

    def cases(self) -> st.SearchStrategy[Case]:
        """One to three tensors, sizes around those of vectors, at steps of their own."""
        tensors = st.lists(st.tuples(near(1, 4, 8, 16, most=65), st.integers(1, 9)), min_size=1, max_size=3)
        return st.builds(self._make, tensors, SETTINGS, st.sampled_from(STYLES), SEEDS)

    def _make(self, tensors: Sequence[tuple[int, int]], settings: dict, style: str, seed: int) -> Case:
        rng = np.random.default_rng(seed)
        p, g, m = ([floats(rng, (n,), style) for n, _ in tensors] for _ in range(3))
        v = [np.abs(floats(rng, (n,), style)) for n, _ in tensors]
        return Case((*p, *g, *m, *v), {**settings, "steps": [t for _, t in tensors]}, seed)


def split(arrays: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
    """The lists p, g, m, v that lie in a row."""
    k = len(arrays) // 4
    return [list(arrays[i * k:(i + 1) * k]) for i in range(4)]
