"""The domain of kmeans1d: float32 values and a number of clusters, and what a choice of centroids costs."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import strategies as st

from .case import STYLES, Case, floats, near
from .domain import SEEDS, Domain, U


class Kmeans1d(Domain):
    """values (n,), k → the centroids. It is no product: it has no rows, columns and inner indices."""

    name, exact, takes_out = "kmeans1d", True, False
    m_tiles, n_tiles = (1,), (1,)

    def cases(self) -> st.SearchStrategy[Case]:
        """Values of every style, tied, evenly spaced, lumpy; k from 1 to all that are distinct."""
        styles = st.sampled_from([*STYLES, "ties", "even", "lumps"])
        return st.builds(self._make, near(16, 64, most=129).filter(bool), styles, st.floats(0, 1), SEEDS)

    def _make(self, n: int, style: str, share: float, seed: int) -> Case:
        rng = np.random.default_rng(seed)
        values = {"ties": lambda: rng.integers(-4, 5, n) / 2, "even": lambda: rng.permutation(n) * 3.0,
                  "lumps": lambda: rng.choice([-1, 0, 5, 6], n) + 1e-3 * rng.standard_normal(n)}
        values = values[style]() if style in values else floats(rng, (n,), style)
        values = values.astype(np.float32)
        distinct = len(np.unique(values))
        return Case((values,), {"k": 1 + round(share * share * (distinct - 1))}, seed)


def cost(values: np.ndarray, centroids: np.ndarray) -> float:
    """Σ (value − nearest centroid)² in float64, each difference squared as it is."""
    distances = np.abs(values.astype(np.float64)[:, None] - centroids.astype(np.float64))
    return float(np.sum(distances.min(axis=1) ** 2))


def slack(values: np.ndarray, k: int) -> float:
    """By how much the cost may exceed the least one.

    A prefix sum of n terms is wrong by γ_n·Σ|x| ≤ γ_n·√(W·Q), Q = Σ x² of the W values less their mean; then
    S²/W of a cluster, which is at most its own Q_c, by 4·γ_n·√(W·Q)·√(Q_c/W_c); summed over k clusters that
    is 4·γ_n·√(W·k)·Q (Cauchy & Schwarz), once for the way found and once for the best one. The centroids'
    rounding to float32 adds (u·|c|)² for each value.
    """
    x = values.astype(np.float64)
    total, n = float(np.sum((x - x.mean()) ** 2)), len(x)
    return 8 * (n * np.sqrt(n * k) + 8) * 2.0**-53 * total + n * (U * float(np.abs(x).max()) + 2.0**-150) ** 2


def least_cost(values: np.ndarray, k: int) -> float:
    """The least cost of k clusters, by trying every way to cut the sorted values (for a few of them)."""
    points = np.sort(values.astype(np.float64))
    n = len(points)
    one = [[float(np.sum((points[s:i] - points[s:i].mean()) ** 2)) if s < i else 0.0 for i in range(n + 1)]
           for s in range(n + 1)]
    cuts = combinations(range(1, n), k - 1)
    return min(sum(one[s][i] for s, i in zip((0, *cut), (*cut, n), strict=True)) for cut in cuts)
