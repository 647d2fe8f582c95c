"""kmeans1d: the k numbers that best stand for many, a global optimum and not only a local one."""

import numpy as np

from ..geometry import LARGEST
from .arguments import integer
from .kernel import kernel
from .native import check, ffi, from_buffer, lib


@kernel(values="f32[n]", out=("centroids: f32[k]",))
def kmeans1d(values: np.ndarray, k: int) -> np.ndarray:
    """The k centroids with the least Σ (value − nearest centroid)²: float32 (n,) → float32 (k,), rising.

    Members of a cluster are neighbours among the sorted values. So the least cost of the first i of them in j
    clusters is min over s < i of (that of the first s in j − 1) + (that of s … i − 1 in one) (Fisher 1958;
    Wang & Song 2011); equal values are one point with a weight, never parted. A centroid is the mean of its
    members in float64, rounded once. Of partitions that cost the same any may be found, always the same;
    a value half-way between two centroids belongs to the lower one (`nearest`).

    Sums are float64, of the values less their mean: the cost exceeds the least one by no more than
    8·(n·√(W·k) + 8)·2⁻⁵³ · Σ (value − mean)², n the distinct values and W all of them.
    Raises ValueError for NaN and infinities, and where there are fewer than k distinct values.
    """
    points, counts = np.unique(values, return_counts=True)
    sums, weights = prefix_sums(points, counts)
    cost, ways = np.full(len(sums), np.inf), []
    cost[0] = 0                                        # of no points in no clusters
    for _ in range(k):
        cost, way = one_cluster_more(cost, sums, weights)
        ways.append(way)
    ends = [len(points)]
    for way in ways[:0:-1]:
        ends.append(way[ends[-1]])
    return means(points, counts, np.array(ends[::-1]))


def prefix_sums(points: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Σ weight·(point − mean) and Σ weight of the first 0, 1, …, n points, float64 (n+1,).

    One cluster of the points s … i − 1 costs Σ w·x² − S²/W, S and W being differences of these; the first sum
    is the same for all partitions and left out.
    """
    points, counts = points.astype(np.float64), counts.astype(np.float64)
    centred = points - np.average(points, weights=counts)
    return tuple(np.concatenate([[0.0], np.cumsum(each)]) for each in (counts * centred, counts))


def one_cluster_more(cost: np.ndarray, sums: np.ndarray, weights: np.ndarray
                     ) -> tuple[np.ndarray, np.ndarray]:
    """For every i the least cost[s] − S²/W over s < i, and the first s that has it.

    That s never falls as i grows, so those of two i bound the search for the i half-way between them. All of
    those at once: h, 3h, 5h, …, then half-way between these, with h half as large.
    """
    n = len(cost) - 1
    least, way = np.full(n + 1, np.inf), np.zeros(n + 1, np.int32)
    h = 1 << n.bit_length() >> 1
    while h:
        i = np.arange(h, n + 1, 2 * h)
        first, last = way[i - h], np.append(way[i[i + h <= n] + h], i[i + h > n] - 1)
        count = np.minimum(last, i - 1) - first + 1                 # the s of each i, one i after another
        start = np.cumsum(count) - count
        s, at = np.arange(count.sum()) + np.repeat(first - start, count), np.repeat(i, count)
        costs = cost[s] - (sums[at] - sums[s]) ** 2 / (weights[at] - weights[s])
        least[i] = np.minimum.reduceat(costs, start)
        best = np.flatnonzero(costs == np.repeat(least[i], count))
        way[i] = s[best[np.searchsorted(best, start)]]
        h //= 2
    return least, way


def means(points: np.ndarray, counts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The weighted mean of each cluster, of the points' dtype."""
    dtype, starts, points = points.dtype, np.concatenate([[0], ends[:-1]]), points.astype(np.float64)
    total, weight = np.add.reduceat(points * counts, starts), np.add.reduceat(counts, starts)
    return (total / weight + 0.0).astype(dtype)  # no −0


def nearest(values: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """The number of the nearest centroid (they rise), of two the lower, for values of any shape: uint8."""
    centroids = centroids.astype(np.float64)
    return np.searchsorted((centroids[1:] + centroids[:-1]) / 2, values).astype(np.uint8)


def _distinct(who, values, k) -> tuple[np.ndarray, np.ndarray]:
    """The distinct values, and how many there are of each; ValueError if there is no k-means of them."""
    points, counts = np.unique(values, return_counts=True)
    if len(points) and not np.isfinite(points[[0, -1]]).all():  # infinities and NaN are at the ends
        raise ValueError(f"{who}: values must be finite, got NaN or infinity")
    if k > len(points):
        raise ValueError(f"{who}: k must be at most the number of distinct values, {len(points)}, got {k}")
    return points, counts


def _run(choice, values, k) -> np.ndarray:
    points, counts = _distinct("kmeans1d", values, k)
    if len(points) > LARGEST:
        raise ValueError(f"kmeans1d: values must be fewer than 2^31 distinct ones, got {len(points)}")
    sums, weights = prefix_sums(points, counts)
    ends = np.empty(k, np.int64)
    check("kmeans1d", lib.nn_kmeans1d(choice, len(points), k, from_buffer(sums), from_buffer(weights),
                                      ffi.from_buffer("int64_t[]", ends)))
    return means(points, counts, ends)


kmeans1d.runs(_run, plan=lambda who, k: integer(who, "k", k, 1, LARGEST), values=_distinct)
