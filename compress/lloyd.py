"""Lloyd's iteration on numbers: k-means as it is usually found, from a start that decides how well it ends.

    every number goes to its nearest centroid, every centroid to the mean of its numbers; again

(Lloyd 1957/1982). Neither step can raise the inertia Σ (value − its centroid)², so it ends, in a local
minimum: `nn.kernels.kmeans1d` finds the global one. On a line a cluster is a run of neighbours. So the values
are sorted once, and with the sums of the first 0, 1, …, n of them an iteration is 2k differences, however
many values there are.

Where to start (Han, Mao & Dally 2016, §3.2; Arthur & Vassilvitskii 2007, "k-means++"):

    linear      k numbers evenly from the smallest value to the largest: large weights get centroids too
    density     k quantiles: as many values between two neighbours as between any others
    random      k of the values (Forgy)
    k-means++   one of the values, then again and again one drawn in proportion to its squared distance to
                the nearest centroid so far: in the mean no worse than 8·(ln k + 2) times the optimum"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nn.arguments import is_int
from nn.random import chosen

Start = Callable[["Sorted", int, np.random.Generator], np.ndarray]  # (values, k, rng) -> k centroids


@dataclass(frozen=True)
class Lloyd:
    """centroids: float32 (k,), rising. inertia: that of the start and after each iteration, before the
    centroids are rounded to float32; it never rises."""

    centroids: np.ndarray
    inertia: tuple[float, ...]


class Sorted:
    """Sorted values less their mean, float64 (n,), the sums of the first 0, 1, …, n, and that of all squares:
    in float64 sums of numbers around 0 lose least."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = np.sort(values.ravel()).astype(np.float64)
        self.mean = float(self.values.mean())
        self.values -= self.mean
        self.sums = np.zeros(len(self.values) + 1)
        np.cumsum(self.values, out=self.sums[1:])
        self.square = float(self.values @ self.values)

    def ends(self, centroids: np.ndarray) -> np.ndarray:
        """Cluster j is the values ends[j] … ends[j + 1] − 1: those nearest to it, of two equally near
        centroids the lower one; (k + 1,)."""
        between = np.searchsorted(self.values, (centroids[1:] + centroids[:-1]) / 2, side="right")
        return np.concatenate([[0], between, [len(self.values)]])

    def inertia(self, centroids: np.ndarray, ends: np.ndarray) -> float:
        """Σ (x − c)² = Σ x² + Σ c·(n·c − 2·Σ x), with n values and their sum cluster by cluster."""
        counts, sums = np.diff(ends), np.diff(self.sums[ends])
        return max(self.square + float(centroids @ (counts * centroids - 2 * sums)), 0.0)


def linear(values: Sorted, k: int, rng: np.random.Generator) -> np.ndarray:
    """Evenly over the range."""
    return np.linspace(values.values[0], values.values[-1], k)


def density(values: Sorted, k: int, rng: np.random.Generator) -> np.ndarray:
    """The middles of k equal parts of the distribution function."""
    return np.quantile(values.values, (np.arange(k) + 0.5) / k)


def random(values: Sorted, k: int, rng: np.random.Generator) -> np.ndarray:
    """k of the values, none of them twice."""
    return rng.choice(values.values, k, replace=False)


def k_means_plus_plus(values: Sorted, k: int, rng: np.random.Generator) -> np.ndarray:
    """A pass over all values for each centroid: their squared distances are what is drawn from."""
    x = values.values
    centroids = rng.choice(x, 1)
    squares = (x - centroids[0]) ** 2
    while len(centroids) < k:
        sums = np.cumsum(squares)
        new = x[min(np.searchsorted(sums, rng.random() * sums[-1], side="right"), len(x) - 1)]
        centroids = np.append(centroids, new)
        np.minimum(squares, (x - new) ** 2, out=squares)
    return centroids


STARTS: dict[str, Start] = {"linear": linear, "density": density, "random": random,
                            "k-means++": k_means_plus_plus}


def lloyd(values: np.ndarray, k: int, start: str | np.ndarray = "linear", *, iterations: int = 300,
          rng: np.random.Generator | None = None) -> Lloyd:
    """k centroids of values by Lloyd's iteration, until no value changes its cluster, or `iterations` times.

    values: floats of any shape, n in all. start: one of STARTS, or k centroids. rng: for those that draw;
    nn.random.generator() if left out. A cluster that lost all its values gets the one that is farthest from
    its centroid (of several clusters each another), as in scikit-learn.

    Takes the time of sorting n numbers, and O(k log n) an iteration. Raises ValueError for values that are
    no floats, NaN or infinite, k outside 1 … n, and a start that is unknown or not k finite numbers."""
    values = np.asarray(values)
    if not is_int(k) or not 1 <= k <= values.size:
        raise ValueError(f"lloyd: k must be an int in 1…{values.size}, the number of values; got {k!r}")
    if values.dtype.kind != "f" or not np.isfinite(values).all():
        raise ValueError("lloyd: values must be finite floats; got "
                         + ("NaN or infinity" if values.dtype.kind == "f" else f"{values.dtype}"))
    if not is_int(iterations) or iterations < 0:
        raise ValueError(f"lloyd: iterations must be an int of at least 0; got {iterations!r}")
    points = Sorted(values)
    centroids = np.sort(_started(points, k, start, rng))
    ends = points.ends(centroids)
    inertia = [points.inertia(centroids, ends)]
    for _ in range(iterations):
        centroids, before = _moved(points, centroids, ends), ends
        ends = points.ends(centroids)
        inertia.append(points.inertia(centroids, ends))
        if np.array_equal(ends, before):
            break
    return Lloyd((centroids + points.mean).astype(np.float32), tuple(inertia))


def _started(points: Sorted, k: int, start: str | np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
    """The centroids to begin with, less the mean."""
    if isinstance(start, str):
        if start not in STARTS:
            raise ValueError(f"lloyd: start must be one of {', '.join(STARTS)}, or centroids; got {start!r}")
        return STARTS[start](points, k, chosen("lloyd", "rng", rng))
    start = np.asarray(start, np.float64)
    if start.shape != (k,) or not np.isfinite(start).all():
        raise ValueError(f"lloyd: start must be {k} finite centroids, shape ({k},); got shape {start.shape}")
    return start - points.mean


def _moved(points: Sorted, centroids: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The means of the clusters, rising; the e empty ones take the e values that are farthest from their
    centroids out of others."""
    sums, counts = np.diff(points.sums[ends]), np.diff(ends)
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        # Within a cluster the farthest are at its ends: so many there are enough to look at.
        runs = [np.arange(a, b) if b - a <= 2 * len(empty) else np.r_[a:a + len(empty), b - len(empty):b]
                for a, b in pairwise(ends)]
        at, owner = np.concatenate(runs), np.repeat(np.arange(len(runs)), [*map(len, runs)])
        far = np.abs(points.values[at] - centroids[owner])
        moved = np.argsort(-far, kind="stable")[:len(empty)]
        taken = points.values[at[moved]]
        np.subtract.at(sums, owner[moved], taken)
        np.subtract.at(counts, owner[moved], 1)
        sums[empty], counts[empty] = taken, 1
    # A cluster all of whose values were taken keeps its place.
    return np.sort(np.where(counts > 0, sums / np.maximum(counts, 1), centroids))
