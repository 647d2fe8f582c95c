"""Rounding by optimal brain surgery: its three ways are one, and its bound holds."""

from functools import partial

import numpy as np
import pytest

from compress import second_order
from compress.second_order import (
    Hessian,
    damped,
    gptq,
    inverse_factor,
    lower_factor,
    nearest_plane,
    obq,
    plane_bound,
    without,
)


def inputs(width, count, seed=0):
    """Each depends on those before it."""
    return np.random.default_rng(seed).standard_normal((count, width)).cumsum(axis=1).astype(np.float32)


def layer(width, out=6, seed=0, damping=0.01):
    """A weight, H, its damped self, and what rounds to three bits."""
    hessian = Hessian.of([inputs(width, 3 * width, seed)[None]])
    w = np.random.default_rng(seed + 1).standard_normal((out, width))
    step = np.abs(w).max(axis=1) / 3
    rounds = lambda column, i: np.clip(np.rint(column / step), -3, 3) * step  # noqa: E731
    return w, hessian, damped(hessian.matrix[0], damping), step, rounds


def half_of(step, weights):
    """Half a step for each weight."""
    return np.tile(step[:, None] / 2, weights.shape[1])


def to_nearest(w, rounds):
    return np.stack([rounds(column, i) for i, column in enumerate(w.T)], axis=1)


def test_sums_over_batches_are_those_of_the_whole():
    x = inputs(5, 40).reshape(2, 20, 5)
    whole = Hessian.of([x])
    np.testing.assert_allclose(whole.matrix, 2 * x.swapaxes(1, 2).astype(np.float64) @ x / 20, rtol=1e-12)
    parts = Hessian.of([x[:, :7], x[:, 7:8], x[:, 8:]])
    np.testing.assert_allclose(parts.matrix, whole.matrix, rtol=1e-12)
    assert parts.count == whole.count == 20


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_inputs_that_are_no_numbers_are_refused(value):
    x = inputs(3, 4)[None]
    x[0, 2, 1] = value
    with pytest.raises(ValueError, match="holds NaN or infinity"):
        Hessian.of([x])
    with pytest.raises(ValueError, match="of no input"):
        Hessian.of([x[:, :0]])


def test_the_norm_is_what_the_outputs_move_by():
    x, change = inputs(7, 30), np.random.default_rng(3).standard_normal((4, 7))
    hessian = Hessian.of([x[None]])
    wanted = np.sqrt(np.mean(np.sum((x.astype(np.float64) @ change.T) ** 2, axis=1)))
    assert hessian.norm(change) == pytest.approx(wanted, rel=1e-12)
    assert hessian.norm(change) <= hessian.longest(float(np.linalg.norm(change)))


@pytest.mark.parametrize("width", [1, 2, 17])
def test_factors_are_of_h_and_of_its_inverse(width):
    *_, h, _, _ = layer(width)
    r, u = lower_factor(h), inverse_factor(h)
    np.testing.assert_allclose(r.T @ r, h, rtol=1e-9, atol=1e-9 * h.max())
    np.testing.assert_allclose(u.T @ u @ h, np.eye(width), atol=1e-9)
    assert not np.triu(r, 1).any()
    assert not np.tril(u, -1).any()


def test_a_settled_weight_leaves_the_inverse_of_the_rest():
    *_, h, _, _ = layer(9)
    rest = [0, 1, 3, 4, 5, 6, 7, 8]
    left, wanted = without(np.linalg.inv(h), 2), np.linalg.inv(h[np.ix_(rest, rest)])
    np.testing.assert_allclose(left[np.ix_(rest, rest)], wanted, rtol=1e-9, atol=1e-12)
    assert not left[2].any()
    u = inverse_factor(h)  # the first two settled: what is left is in the factor already
    left = without(without(np.linalg.inv(h), 0), 1)
    np.testing.assert_allclose(left[2:, 2:], u[2:, 2:].T @ u[2:, 2:], rtol=1e-8, atol=1e-12)


def test_pruning_by_the_factor_is_optimal_brain_surgery():
    """w − w_q/[H⁻¹]_qq · H⁻¹·1_q (Hassibi & Stork 1993, eq. 5) removes a weight at the least cost."""
    w, _, h, _, _ = layer(6, out=1)
    u, inverse = inverse_factor(h), np.linalg.inv(h)
    removed = w[0] - w[0, 0] / inverse[0, 0] * inverse[0]
    np.testing.assert_allclose(removed[1:], w[0, 1:] - w[0, 0] / u[0, 0] * u[0, 1:], rtol=1e-9)
    e = w[0] - removed
    assert e @ h @ e / 2 == pytest.approx((w[0, 0] / u[0, 0]) ** 2 / 2, rel=1e-9)
    rest = np.linalg.solve(h[1:, 1:], h[1:, 0]) * w[0, 0]  # the least squares of the others
    np.testing.assert_allclose(removed[1:], w[0, 1:] + rest, rtol=1e-8)


@pytest.mark.parametrize("width", [1, 2, 33, 128, 129, 300])
def test_three_ways_round_alike(width):
    w, _, h, _, rounds = layer(width)
    made = gptq(w, h, rounds)
    np.testing.assert_array_equal(nearest_plane(w, lower_factor(h), rounds), made)
    if width < 150:
        np.testing.assert_array_equal(obq(w, h, rounds), made)


def test_blocks_change_nothing_but_roundings(monkeypatch):
    w, _, h, _, rounds = layer(50)
    made = nearest_plane(w, lower_factor(h), rounds)
    for block in (1, 7, 64):
        monkeypatch.setattr(second_order, "BLOCK", block)
        np.testing.assert_array_equal(nearest_plane(w, lower_factor(h), rounds), made)


def test_it_is_never_above_its_bound_and_babai_s_where_nothing_is_clipped():
    for seed in range(30):
        w, hessian, h, step, rounds = layer(20, seed=seed, damping=(0.01, 1.0)[seed % 2])
        r = lower_factor(h)
        half = partial(half_of, step)
        for q in (nearest_plane(w, r, rounds), to_nearest(w, rounds), 0 * w):
            found = plane_bound(w, q, half, hessian.matrix[0], r, hessian.count)
            assert hessian.norm(w - q) <= np.sqrt(found.square)
        wide = nearest_plane(w, r, lambda c, i, s=step: np.rint(c / s) * s)
        found = plane_bound(w, wide, half, hessian.matrix[0], r, hessian.count)
        assert found.clipped == 0
        assert found.square == pytest.approx(np.sum(np.diag(r) ** 2) * np.sum(step**2) / 8, rel=1e-6)


def test_it_is_usually_better_than_the_nearest_and_need_not_be():
    """There is no theorem that it is: what was made good may meet a rounding that spoils it again."""
    better = []
    for seed in range(200):
        w, hessian, h, _, rounds = layer(3, out=1, seed=seed)
        mine, nearest = nearest_plane(w, lower_factor(h), rounds), to_nearest(w, rounds)
        better.append(hessian.norm(w - mine) - hessian.norm(w - nearest))
    assert np.mean(better) < 0
    assert max(better) > 0
    assert np.mean(np.array(better) <= 0) > 0.75


def test_inputs_that_depend_too_closely_are_refused():
    with pytest.raises(ValueError, match="more damping is needed"):
        lower_factor(np.ones((3, 3)))
