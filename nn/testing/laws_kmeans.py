"""The laws of kmeans1d: no centroids are better, and what must not matter does not."""

from __future__ import annotations

import numpy as np

from ..kernels.kmeans1d import nearest
from . import laws
from .case import Case
from .domain_kmeans import cost, least_cost, slack
from .laws import Implementation, obeys, same


def no_dearer(values: np.ndarray, got: np.ndarray, k: int, least: float, than: str) -> None:
    """Raise unless these are k centroids that cost no more than `least`."""
    if got.dtype != np.float32 or got.shape != (k,):
        raise AssertionError(f"got {got.dtype} {got.shape}, wanted {k} float32 centroids")
    found, allowed = cost(values, got), slack(values, k)
    if not found <= least + allowed:
        raise AssertionError(f"centroids {got} cost {found!r}, {than} {least!r} (± {allowed:.3g})")


def costs_what_the_specification_costs(f: Implementation, case: Case) -> None:
    """Centroids as good as the specification's; the same bits where it is the same partition."""
    (values,), k = case.args, case.options["k"]
    got, want = f(case), f.spec(values, k)
    no_dearer(values, got, k, cost(values, want), "the specification's")
    no_dearer(values, want, k, cost(values, got), "these")
    if np.array_equal(nearest(values, got), nearest(values, want)):
        same(got, want, "of the same partition")


def is_a_global_optimum(f: Implementation, case: Case) -> None:
    """For eight of the values every partition is tried: none costs less."""
    values = np.unique(case.args[0])
    values = case.rng().permutation(values)[:8]
    for k in range(1, len(values) + 1):
        no_dearer(values, f(case.on(values, k=k)), k, least_cost(values, k), "the best of all partitions")


def beats_lloyd(f: Implementation, case: Case) -> None:
    """No start of Lloyd's iteration (1957) ends in something better."""
    (values,), k, rng = case.args, case.options["k"], case.rng()
    got, points = f(case), np.unique(values)
    for _ in range(3):
        centroids = np.sort(rng.choice(points, k, replace=False)).astype(np.float64)
        for _ in range(20):
            members = nearest(values, centroids)
            counts = np.bincount(members, minlength=k)
            sums = np.bincount(members, values.astype(np.float64), minlength=k)
            centroids = np.sort(np.where(counts, sums / np.maximum(counts, 1), centroids))
        no_dearer(values, got, k, cost(values, centroids), "Lloyd's")


def gives_means_of_members(f: Implementation, case: Case) -> None:
    """Of whole numbers, whose sums are exact: centroids rise, each has members, and is their mean.

    No number is half-way between two centroids: giving it to the other would make both means better.
    """
    values = case.rng().integers(-999, 1000, len(case.args[0])).astype(np.float32)
    got = f(case.on(values, k=min(case.options["k"], len(np.unique(values)))))
    if np.any(np.diff(got) <= 0):
        raise AssertionError(f"the centroids {got} do not rise")
    members = nearest(values, got)
    counts = np.bincount(members, minlength=len(got))
    if not counts.all():
        raise AssertionError(f"of the centroids {got} some have no members: {counts}")
    means = np.bincount(members, values.astype(np.float64)) / counts
    same(got, means.astype(np.float32), "against the means of the members")


def gives_distinct_values_back(f: Implementation, case: Case) -> None:
    """As many clusters as distinct values: the values themselves, to the bit. One cluster: the mean."""
    points = np.unique(case.args[0]) + np.float32(0)
    same(f(case.on(*case.args, k=len(points))), points, "as many centroids as values")
    mean = case.args[0].astype(np.float64).mean() + 0.0
    bound = 2.0**-24 * float(np.abs(points).max()) + 2.0**-149
    same(f(case.on(*case.args, k=1)), np.array([mean], np.float32), "one centroid", bound)


def ignores_order_and_repetition(f: Implementation, case: Case) -> None:
    """Values in another order, or each of them four times, have the same centroids."""
    (values,), want = case.args, f(case)
    same(f(case.on(case.rng().permutation(values))), want, "in another order")
    same(f(case.on(np.repeat(values, 4))), want, "each value four times")


def scales(f: Implementation, case: Case) -> None:
    """Values times a power of two: the centroids too, to the bit. Times −1: centroids that cost the same."""
    (values,), k, want = case.args, case.options["k"], f(case)
    largest, least = (float(reduce(np.abs(values[values != 0]), initial=1)) for reduce in (np.max, np.min))
    for power in (-7, 9):
        if largest < 2.0**60 and least > 2.0**-60:
            same(f(case.on(np.ldexp(values, power))), np.ldexp(want, power), f"values times 2^{power}")
    no_dearer(values, -f(case.on(-values)), k, cost(values, want), "not turned round")


def shifts(f: Implementation, case: Case) -> None:
    """Whole numbers moved by a million: centroids that cost the same."""
    k = case.options["k"]
    values = case.rng().permutation(np.arange(0, 3 * len(case.args[0]), 3))[:max(k, 5)].astype(np.float32) + 0
    values[::3] += 1
    moved, k = values + np.float32(2**20), min(k, len(values))
    no_dearer(moved, f(case.on(moved, k=k)), k, cost(values, f(case.on(values, k=k))), "not moved")


obeys("kmeans1d", laws.ignores_layout, laws.leaves_inputs, laws.repeats, costs_what_the_specification_costs,
      is_a_global_optimum, beats_lloyd, gives_means_of_members, gives_distinct_values_back,
      ignores_order_and_repetition, scales, shifts)
