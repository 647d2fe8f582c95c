"""kmeans1d: the best of all codebooks of a layer beside a good one, by Lloyd's iteration in scikit-learn."""

import importlib
import time
from collections.abc import Iterator

import numpy as np

from nn.kernels import Variant, kmeans1d, use
from nn.kernels.kmeans1d import nearest

from ..ladder.sample import Sample, floats
from . import peers
from .row import Row
from .timing import context, interleaved, timer

LAYERS = ((100_000, 16, 20), (1_000_000, 16, 20), (1_000_000, 256, 5))  # values, k, Lloyd's iterations


def rows(seconds: float) -> Iterator[Row]:
    """Each layer beside the peer, and the speed of every variant."""
    yield from (_beside_lloyd(*layer) for layer in LAYERS)
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


def _beside_lloyd(n: int, k: int, iterations: int) -> Row:
    """How many times as fast, by the wall clock (the peer may start threads); beside it the peer's cost over
    ours, which is never below 1."""
    measure = f"kmeans1d {n:,} values, k {k}, beside {iterations} iterations of Lloyd in scikit-learn"
    if why := peers.missing("sklearn"):
        return Row("kmeans1d", measure, None, "× as fast", why=why)
    cluster = importlib.import_module("sklearn.cluster")
    values = _values(n)
    start = np.linspace(values.min(), values.max(), k, dtype=np.float32)[:, None]
    ours, theirs, found = [], [], {}
    for _ in range(3):
        begin = time.perf_counter()
        found["ours"] = kmeans1d(values, k)
        ours.append(time.perf_counter() - begin)
        lloyd = cluster.KMeans(k, init=start, n_init=1, max_iter=iterations, tol=0, algorithm="lloyd")
        with peers.quiet():  # it warns that it has not converged
            begin = time.perf_counter()
            lloyd.fit(values[:, None])
            theirs.append(time.perf_counter() - begin)
        found["scikit-learn"] = np.sort(lloyd.cluster_centers_[:, 0])
    costs = {name: float(np.sum((values.astype(np.float64) - c.astype(np.float64)[nearest(values, c)]) ** 2))
             for name, c in found.items()}
    beside = {"ms": {"ours": 1000 * min(ours), "scikit-learn": 1000 * min(theirs)},
              "its cost over ours": costs["scikit-learn"] / costs["ours"]}
    return Row("kmeans1d", measure, round(min(theirs) / min(ours), 2), "× as fast", context=beside)


def sample(rng: np.random.Generator) -> Sample:
    """The call that the ladder times."""
    return Sample((floats(rng, 500),), {"k": 16}, 0, "16 of 500 values")
