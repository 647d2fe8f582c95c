"""kmeans1d: the best of all codebooks of a layer, and a good one by Lloyd's iteration, beside scikit-learn's
and beside an exact package."""

import importlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nn.kernels import Variant, kmeans1d, use
from nn.kernels.kmeans1d import nearest

from ...lloyd import lloyd
from ..ladder.sample import Sample, floats
from . import peers
from .row import Row
from .timing import context, interleaved, timer

LAYERS = ((1_000_000, 16, 20), (1_000_000, 256, 5))  # values, k, Lloyd's iterations
EXACT = ((1_000_000, 16), (100_000, 256))


def rows(seconds: float) -> Iterator[Row]:
    """Each layer beside the peers, and the speed of every variant."""
    for layer in LAYERS:
        yield from _beside_lloyd(*layer)
    yield from (_beside_exact(*layer) for layer in EXACT)
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant, in values a second: the specification at a size it can do."""
    return (_variant_row(variant, seconds) for variant in kmeans1d.variants())


def _variant_row(variant: Variant, seconds: float) -> Row:
    values = _values(2_000 if variant.backend == "numpy" else 100_000)
    with use(variant):
        ours = timer("kmeans1d(values, 16)", kmeans1d=kmeans1d, values=values)
        times = interleaved({variant.name: ours}, seconds)
    beside = context(times, "M values/s", lambda seconds: len(values) / seconds / 1e6)
    speed = beside.pop("M values/s")[variant.name]
    return Row("kmeans1d", f"{variant.name} {len(values)} values, k 16", speed, "M values/s", context=beside)


def _values(n: int) -> np.ndarray:
    """Weights as they come: normal."""
    return np.random.default_rng(0).standard_normal(n, np.float32)


def _in_turn(calls: dict[str, Callable[[], Any]], rounds: int = 3) -> tuple[dict[str, float], dict[str, Any]]:
    """The least seconds of each call by the wall clock (a peer may start threads), and what it returned."""
    seconds, found = {name: [] for name in calls}, {}
    with peers.quiet():  # one warns that it has not converged
        for _ in range(rounds):
            for name, call in calls.items():
                begin = time.perf_counter()
                found[name] = call()
                seconds[name].append(time.perf_counter() - begin)
    return {name: min(each) for name, each in seconds.items()}, found


def _beside_lloyd(n: int, k: int, iterations: int) -> Iterator[Row]:
    """The optimum, and Lloyd's iteration on sorted sums, beside scikit-learn's from the same centroids."""
    peer = f"{iterations} iterations of Lloyd in scikit-learn, {n:,} values, k {k}"
    if why := peers.missing("sklearn"):
        yield Row("kmeans1d", f"kmeans1d, optimal, beside {peer}", None, "× as fast", 2.0, why=why)
        yield Row("kmeans1d", f"lloyd beside {peer}", None, "× as fast", 10.0, why=why)
        return
    cluster = importlib.import_module("sklearn.cluster")
    values = _values(n)
    start = np.linspace(values.min(), values.max(), k, dtype=np.float32)
    theirs = cluster.KMeans(k, init=start[:, None], n_init=1, max_iter=iterations, tol=0, algorithm="lloyd")
    seconds, found = _in_turn({"optimal": lambda: kmeans1d(values, k),
                               "Lloyd": lambda: lloyd(values, k, start, iterations=iterations).centroids,
                               "scikit-learn": lambda: theirs.fit(values[:, None]).cluster_centers_[:, 0]})
    inertia = {name: _inertia(values, centroids) for name, centroids in found.items()}
    far = float(np.abs(np.sort(found["scikit-learn"]) - found["Lloyd"]).max())
    beside = {"ms": {name: 1000 * one for name, one in seconds.items()},
              "its inertia over the optimum": inertia["scikit-learn"] / inertia["optimal"]}
    yield Row("kmeans1d", f"kmeans1d, optimal, beside {peer}",
              round(seconds["scikit-learn"] / seconds["optimal"], 2), "× as fast", 2.0, context=beside)
    beside = {"its inertia over ours": inertia["scikit-learn"] / inertia["Lloyd"],
              "centroids differ by at most": far}  # where an empty cluster may take one of two equally far
    yield Row("kmeans1d", f"lloyd beside {peer}", round(seconds["scikit-learn"] / seconds["Lloyd"], 2),
              "× as fast", 10.0, context=beside)


def _inertia(values: np.ndarray, centroids: np.ndarray) -> float:
    centroids = np.sort(centroids)
    return float(np.sum((values.astype(np.float64) - centroids.astype(np.float64)[nearest(values, centroids)])
                        ** 2))


def _beside_exact(n: int, k: int) -> Row:
    """The optimum beside the optimum, by the C++ package kmeans1d (Wu 1991)."""
    measure = f"kmeans1d beside the package kmeans1d, {n:,} values, k {k}"
    if why := peers.missing("kmeans1d"):
        return Row("kmeans1d", measure, None, "× as fast", 20.0, why=why)
    package = importlib.import_module("kmeans1d")
    values = _values(n)
    plain = values.tolist()
    seconds, found = _in_turn({"ours": lambda: kmeans1d(values, k),
                               "the package": lambda: np.float32(package.cluster(plain, k).centroids)}, 1)
    theirs, ours = (_inertia(values, found[name]) for name in ("the package", "ours"))
    beside = {"ms": {name: 1000 * one for name, one in seconds.items()},
              "its inertia over ours": theirs / ours}
    return Row("kmeans1d", measure, round(seconds["the package"] / seconds["ours"], 1), "× as fast", 20.0,
               context=beside)


def sample(rng: np.random.Generator) -> Sample:
    """The call that the ladder times."""
    return Sample((floats(rng, 500),), {"k": 16}, 0, "16 of 500 values")
