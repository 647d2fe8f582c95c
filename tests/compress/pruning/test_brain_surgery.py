"""Optimal brain surgery on rows: its promises are equalities, so they are held to float64's rounding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.pruning import brain_surgery
from compress.pruning.brain_surgery import compensated, error, removals, rising, surgery
from tests.compress.pruning.quadratics import SEEDS, positive_definite


def least_squares(rng, n):
    """Inputs (N, n), outputs (N,) with noise, and the weight that is best for them."""
    x = rng.standard_normal((3 * n + 4, n)).cumsum(axis=1)
    y = x @ rng.standard_normal(n) + rng.standard_normal(len(x))
    return x, y, np.linalg.lstsq(x, y, rcond=None)[0]


def predicts_what_happens(surgery):
    """On linear least squares, L = mean (w·x − y)², at its minimum: ΔL = ½·w²/[H⁻¹]ᵢᵢ is what the loss grows
    by, at each step of a sequence. To the rounding of float64."""

    @given(SEEDS, st.integers(1, 8))
    def law(seed, n):
        x, y, w = least_squares(np.random.default_rng(seed), n)
        loss = [float(np.mean((x @ w - y) ** 2))]
        costs = []
        for count in range(1, n + 1):
            row, _, costs = surgery(w, 2 * x.T @ x / len(x), count)
            loss.append(float(np.mean((x @ row - y) ** 2)))
        condition = np.linalg.cond(x) ** 2
        assert np.allclose(np.diff(loss), costs, rtol=0, atol=1e-14 * condition * max(loss))

    return law


test_the_predicted_loss_is_the_actual_one = predicts_what_happens(surgery)


def with_the_square_of_nothing(row, h, count):
    """A mutant: the saliency of a weight whose others stand still (OBD's)."""
    row, order, costs = surgery(row, h, count)
    return row, order, [h[i, i] * cost for i, cost in zip(order, costs, strict=True)]


def without_the_update(row, h, count):
    """A mutant: the others stand still."""
    _, order, costs = surgery(row, h, count)
    row = row.copy()
    row[order] = 0
    return row, order, costs


def with_one_inverse(row, h, count):
    """A mutant: H⁻¹ is not made smaller."""
    row, inverse, order, costs = row.copy(), np.linalg.inv(h), [], []
    for _ in range(count):
        cost = row**2 / np.diag(inverse) / 2
        cost[order] = np.inf
        i = int(cost.argmin())
        row = row - row[i] / inverse[i, i] * inverse[i]
        order.append(i), costs.append(cost[i])
    return row, order, costs


@pytest.mark.parametrize("mutant", [with_the_square_of_nothing, without_the_update, with_one_inverse])
def test_the_law_kills_mutants(mutant):
    with pytest.raises(AssertionError):
        predicts_what_happens(mutant)()


@given(SEEDS, st.integers(1, 9), st.integers(1, 3))
def test_all_rows_at_once_lose_what_each_loses_alone(seed, n, out):
    rng = np.random.default_rng(seed)
    rows, h = rng.standard_normal((out, n)), positive_definite(rng, n)
    order, costs = removals(rows, np.linalg.inv(h))
    for row, one, cost in zip(rows, order, costs, strict=True):
        _, wanted, predicted = surgery(row, h, n)
        assert one.tolist() == wanted
        assert np.allclose(cost, predicted, rtol=1e-6)
        assert np.isclose(cost.sum(), error(row[None], h)[0])  # to lose the whole row


@given(SEEDS, st.integers(1, 12), st.integers(1, 5))
def test_costs_are_exact_whatever_is_chosen_together(seed, n, at_once):
    rng = np.random.default_rng(seed)
    rows, h = rng.standard_normal((2, n)), positive_definite(rng, n)
    order, costs = removals(rows, np.linalg.inv(h), at_once)
    assert np.array_equal(np.sort(order, axis=1), np.tile(np.arange(n), (2, 1)))
    for pruned in range(n + 1):
        stays = np.ones((2, n), bool)
        np.put_along_axis(stays, order[:, :pruned], False, axis=1)
        left = compensated(rows, stays, h)
        assert np.allclose(error(rows - left, h), costs[:, :pruned].sum(axis=1), rtol=1e-6, atol=1e-12)


def test_rows_go_through_in_parts(monkeypatch):
    rng = np.random.default_rng(0)
    rows, inverse = rng.standard_normal((7, 5)), np.linalg.inv(positive_definite(rng, 5))
    whole = removals(rows, inverse)
    monkeypatch.setattr(brain_surgery, "HELD", 50)
    parts = removals(rows, inverse)
    assert all(np.array_equal(a, b) for a, b in zip(whole, parts, strict=True))


@given(SEEDS, st.integers(1, 8))
def test_what_stays_is_the_best_that_can_be(seed, n):
    """Zeros where they are wanted, and no step of what stays makes E less: H·e is 0 there. It is the row that
    removing one after the other leaves, in whatever order."""
    rng = np.random.default_rng(seed)
    rows, h = rng.standard_normal((3, n)), positive_definite(rng, n)
    stays = rng.random((3, n)) < rng.random((3, 1))
    left = compensated(rows, stays, h)
    assert not left[~stays].any()
    slope = (rows - left) @ h
    assert np.abs(np.where(stays, slope, 0)).max() <= 1e-7 * np.abs(h).max() * np.abs(rows).max() * n
    assert np.all(error(rows - left, h) <= error(rows * ~stays, h) * (1 + 1e-9) + 1e-12)
    for row, keeps, found in zip(rows, stays, left, strict=True):
        w, inverse = row.copy(), np.linalg.inv(h)
        for i in rng.permutation(np.flatnonzero(~keeps)):
            w -= w[i] / inverse[i, i] * inverse[i]
            inverse = brain_surgery.without(inverse, i)
        assert np.allclose(np.where(keeps, w, 0), found, atol=1e-6 * max(1, np.abs(found).max()))


@given(st.lists(st.lists(st.integers(0, 9), min_size=6, max_size=6), min_size=1, max_size=3))
def test_saliencies_rise_and_keep_the_total(costs):
    costs = np.array(costs, float)
    found = rising(costs)
    assert np.all(np.diff(found, axis=1) >= 0)
    assert np.allclose(found.sum(axis=1), costs.sum(axis=1))
    sums, lines = np.cumsum(costs, axis=1), np.cumsum(found, axis=1)
    assert np.all(lines <= sums * (1 + 1e-12) + 1e-12)  # a convex function below
    risen = np.sort(costs, axis=1)
    assert np.allclose(rising(risen), risen)
