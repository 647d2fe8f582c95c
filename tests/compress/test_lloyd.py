"""Lloyd's iteration against itself written out, where it starts, and the optimum below it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
from compress import Cluster, Context, lloyd
from nn.kernels import kmeans1d
from nn.kernels.kmeans1d import nearest
from nn.parameter import Parameter

STARTS = ("linear", "density", "random", "k-means++")


def normal(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n).astype(np.float32)


def inertia(values, centroids):
    """Σ (value − nearest centroid)², value by value."""
    values, centroids = values.astype(np.float64), centroids.astype(np.float64)
    return float(np.sum(np.min(np.abs(values[:, None] - centroids), axis=1) ** 2))


def written_out(values, centroids, iterations):
    """The iteration as the textbooks have it, every value looked at; no cluster may lose all its values."""
    values, centroids = values.astype(np.float64), np.sort(centroids.astype(np.float64))
    for _ in range(iterations):
        codes = np.argmin(np.abs(values[:, None] - centroids), axis=1)
        assert len(np.unique(codes)) == len(centroids)
        centroids = np.array([values[codes == j].mean() for j in range(len(centroids))])
    return centroids


@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(0, 5), st.sampled_from([0.0, 1e3, -1e-3]))
def test_it_is_the_iteration_written_out(seed, k, iterations, shift):
    values = normal(60, seed) + np.float32(shift)
    start = np.quantile(values, (np.arange(k) + 0.5) / k)  # no cluster becomes empty from there
    found = lloyd(values, k, start, iterations=iterations)
    np.testing.assert_allclose(found.centroids, written_out(values, start, iterations), rtol=1e-6, atol=1e-6)


@given(st.integers(0, 2**31), st.integers(1, 12), st.sampled_from(STARTS), st.booleans())
def test_inertia_never_rises_and_is_what_it_is(seed, k, start, coarse):
    rng = np.random.default_rng(seed)
    values = normal(50, seed) if not coarse else rng.integers(-4, 5, 50).astype(np.float32)
    found = lloyd(values, k, start, rng=rng)
    assert (np.diff(found.inertia) <= 1e-9).all()
    assert found.inertia[-1] == pytest.approx(inertia(values, found.centroids), rel=1e-5, abs=1e-5)
    assert (np.diff(found.centroids) >= 0).all()
    assert found.centroids.dtype == np.float32


@given(st.integers(0, 2**31), st.integers(1, 8), st.sampled_from(STARTS))
def test_the_optimum_is_no_worse(seed, k, start):
    values = normal(64, seed)
    best = inertia(values, kmeans1d(values, k))
    assert best <= inertia(values, lloyd(values, k, start, rng=np.random.default_rng(seed)).centroids) + 1e-5


def test_a_cluster_that_lost_all_values_gets_the_farthest():
    values = np.array([0, 1, 2, 3, 20, 29], np.float32)
    found = lloyd(values, 3, np.array([1.5, 24.5, 100]), iterations=1)
    np.testing.assert_array_equal(found.centroids, np.float32([1.5, 20, 29]))  # 20 and 29 are equally far
    assert found.inertia[-1] == pytest.approx(5)


def test_starts_are_what_the_paper_says():
    values = np.arange(101, dtype=np.float32) ** 2
    linear = lloyd(values, 5, "linear", iterations=0).centroids
    np.testing.assert_allclose(linear, np.linspace(0, 10_000, 5), rtol=1e-6)
    density = lloyd(values, 5, "density", iterations=0).centroids
    counts = np.bincount(nearest(values, density))
    np.testing.assert_allclose(density, np.quantile(values, [0.1, 0.3, 0.5, 0.7, 0.9]), rtol=1e-6)
    assert counts.max() <= 30
    forgy = lloyd(values, 5, "random", iterations=0, rng=np.random.default_rng(0)).centroids
    assert np.isin(forgy, values).all()
    assert len(np.unique(forgy)) == 5


def test_plus_plus_draws_by_squared_distance():
    """Of 0 and two values at distance 1 and 3 the second centroid is drawn 1 : 9, if the first is 0."""
    values, drawn = np.array([0, 1, -3], np.float32), []
    for seed in range(3000):
        pair = lloyd(values, 2, "k-means++", iterations=0, rng=np.random.default_rng(seed)).centroids
        if 0 in pair and not {*pair.tolist()} == {0.0}:
            drawn.append(-3 in pair)
    first_is_zero = 9 / 10  # of a third of the draws; 1 first draws 0 in 1 of 17, −3 first in 9 of 25
    expected = (first_is_zero + 9 / 25) / (1 + 1 / 17 + 9 / 25)
    assert np.mean(drawn) == pytest.approx(expected, abs=5 * np.sqrt(expected * (1 - expected) / len(drawn)))


@pytest.mark.parametrize("start", STARTS)
def test_cluster_shares_from_every_start_and_knows_its_bound(start):
    w = normal(64).reshape(8, 8)
    parameter = Parameter(w.copy())
    chain = compress.Chain([Cluster(3, start=start)]).attach(parameter, Context("fc.weight", "linear"))
    seen = parameter.parametrized().data
    assert len(np.unique(seen)) <= 8
    assert np.linalg.norm(w - seen) <= chain.bound(w)
    again = compress.Chain([Cluster(3, start=start)])
    again.fit(w, Context("fc.weight", "linear"))
    np.testing.assert_array_equal(again.states[0].codes, chain.states[0].codes)


@pytest.mark.parametrize(("call", "said"), [
    (lambda: lloyd(normal(5), 6), "k must be an int in 1…5"), (lambda: lloyd(normal(5), 0), "got 0"),
    (lambda: lloyd(normal(0), 1), "1…0"), (lambda: lloyd(normal(5), True), "got True"),
    (lambda: lloyd(np.float32([1, np.nan]), 1), "NaN"), (lambda: lloyd(np.arange(4), 2), "int64"),
    (lambda: lloyd(normal(5), 2, "best"), "linear, density, random, k-means"),
    (lambda: lloyd(normal(5), 2, np.zeros(3)), r"shape \(2,\)"),
    (lambda: lloyd(normal(5), 2, np.float64([0, np.inf])), "finite"),
    (lambda: lloyd(normal(5), 2, iterations=-1), "iterations"),
    (lambda: Cluster(4, start="best"), "optimal")])
def test_bad_input_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()
