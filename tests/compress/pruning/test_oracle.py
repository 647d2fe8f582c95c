"""The oracle of all masks, and what each score's regret says of it."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.pruning.brain_surgery import compensated, error, surgery
from compress.pruning.oracle import oracle
from tests.compress.pruning.quadratics import SEEDS, positive_definite


def quadratic(h, w):
    """The loss ½·(v − w)ᵀH(v − w) of a weight v."""
    return lambda v: float(error((v - w).reshape(1, -1), h)[0])


@given(SEEDS, st.integers(1, 6))
def test_the_best_mask_is_the_best_of_all_with_as_many_zeros(seed, n):
    rng = np.random.default_rng(seed)
    w, h = rng.standard_normal(n), positive_definite(rng, n)
    loss = quadratic(h, w)
    found = oracle(w, loss)
    assert found.size == n
    assert found.loss(np.ones(n)) == 0
    for pruned in range(n + 1):
        mask, least = found.best(pruned)
        assert np.count_nonzero(~mask) == pruned
        assert least == found.loss(mask) == loss(w * mask)
        every = []
        for gone in combinations(range(n), pruned):
            v = w.copy()
            v[list(gone)] = 0
            every.append(loss(v))
        assert least == pytest.approx(min(every), rel=1e-12, abs=1e-300)


@given(SEEDS, st.integers(2, 8))
def test_obd_has_no_regret_where_the_curvature_is_diagonal(seed, n):
    """½·Σ hᵢ·wᵢ² adds up, so the n smallest terms are the best there is; a magnitude knows nothing of h."""
    rng = np.random.default_rng(seed)
    w, h = rng.standard_normal(n), 10 ** rng.uniform(-2, 2, n)
    found = oracle(w, quadratic(np.diag(h), w))
    regrets = found.regrets(h * w**2 / 2)
    assert np.all(np.abs(regrets) <= 1e-12 * found.losses.max())
    ranking = found.ranking({"upside down": -h * w**2, "obd": h * w**2})
    assert list(ranking.regrets) == ["obd", "upside down"]
    assert "upside down" in str(ranking)


def magnitude(h, w):
    return np.abs(w)


def without_the_square(h, w):
    return h * np.abs(w)


def divided_by_the_curvature(h, w):
    return w**2 / h


@pytest.mark.parametrize("mutant", [magnitude, without_the_square, divided_by_the_curvature])
def test_the_law_kills_other_scores(mutant):
    """Each regrets something where OBD regrets nothing."""
    rng = np.random.default_rng(0)
    w, h = rng.standard_normal(8), 10 ** rng.uniform(-2, 2, 8)
    found = oracle(w, quadratic(np.diag(h), w))
    assert found.regrets(mutant(h, w)).max() > 1e-3 * found.losses.max()
    assert found.regrets(h * w**2).max() <= 1e-12 * found.losses.max()


@given(SEEDS, st.integers(2, 7))
def test_no_score_regrets_less_than_nothing(seed, n):
    rng = np.random.default_rng(seed)
    w, h = rng.standard_normal(n), positive_definite(rng, n)
    found = oracle(w, quadratic(h, w))
    for scores in (np.abs(w), np.diag(h) * w**2, rng.random(n), np.zeros(n)):
        regrets = found.regrets(scores)
        assert regrets.shape == (n - 1,)
        assert np.all(regrets >= 0)
        order = np.argsort(scores, kind="stable")
        for pruned, regret in enumerate(regrets, 1):
            mask = np.ones(n)
            mask[order[:pruned]] = 0
            assert found.regret(mask) == regret


@given(SEEDS, st.integers(2, 7))
def test_the_first_weight_that_brain_surgery_removes_is_the_best_one(seed, n):
    """With the others moved: of one weight its costs are exact. Of more, greed can be wrong, but never better
    than the best."""
    rng = np.random.default_rng(seed)
    w, h = rng.standard_normal((1, n)), positive_definite(rng, n)
    found = oracle(w, lambda v: float(error(v - w, h)[0]), settle=lambda w, stays: compensated(w, stays, h))
    _, order, costs = surgery(w[0], h, n)
    for pruned in range(1, n + 1):
        mask = np.ones((1, n))
        mask[0, order[:pruned]] = 0
        assert found.regret(mask) >= -1e-9 * found.losses.max()
        assert found.loss(mask) == pytest.approx(sum(costs[:pruned]), rel=1e-7)
    mask, least = found.best(1)
    assert least == pytest.approx(costs[0], rel=1e-7)


def test_greed_can_be_wrong():
    """Two weights whose errors cancel, as their inputs are nearly the same: both may go, for little more than
    one of them alone. Greed begins with a third, and has to pay for the second."""
    h = np.array([[1.0, 0.9, 0], [0.9, 1, 0], [0, 0, 1]])
    w = np.array([[-0.2, 0.2, 0.08]])
    found = oracle(w, lambda v: float(error(v - w, h)[0]), settle=lambda w, stays: compensated(w, stays, h))
    _, order, _ = surgery(w[0], h, 2)
    mask = np.ones((1, 3))
    mask[0, order] = 0
    assert found.regret(mask) == pytest.approx(0.0032 + 0.0038 - 0.004)
    assert not found.best(2)[0][0, :2].any()


def test_groups_live_and_die_together():
    w = np.arange(1.0, 7).reshape(2, 3)
    groups = np.array([[0, 0, 1], [2, 1, 2]])
    found = oracle(w, lambda v: float(np.sum((w - v) ** 2)), groups=groups)
    assert found.size == 3
    assert found.best(1)[1] == 1 + 4
    assert not found.best(1)[0][0, :2].any()
    assert found.regrets(w**2).tolist() == [0, 0]
    assert found.regrets(-w).tolist() == [16 + 36 - 5, 16 + 36 + 9 + 25 - 5 - 34]
    with pytest.raises(ValueError, match="the mask splits group 1"):
        found.loss(np.array([[1, 1, 1], [1, 0, 1]]))


def test_what_has_no_oracle_is_refused():
    w = np.ones(3)
    with pytest.raises(ValueError, match="needs 1 to 16 groups, numbered from 0; got 17"):
        oracle(np.ones(17), np.sum)
    with pytest.raises(ValueError, match="needs 1 to 16 groups, numbered from 0; got 2 from 1 to 4"):
        oracle(w, np.sum, groups=np.array([1, 4, 4]))
    with pytest.raises(ValueError, match=r"whole numbers in the weight's shape \(3,\); got float64 \(2,\)"):
        oracle(w, np.sum, groups=np.ones(2))
    with pytest.raises(ValueError, match="the loss is NaN for 8 of 8 masks"):
        oracle(w, lambda v: np.nan)
    with pytest.raises(TypeError, match="w must be an array"):
        oracle([1.0], np.sum)
    found = oracle(w, np.sum)
    with pytest.raises(ValueError, match=r"pruned must be 0 … 3; got 4"):
        found.best(4)
    with pytest.raises(ValueError, match=r"shape \(3,\), the mask \(2,\)"):
        found.loss(np.ones(2))
    with pytest.raises(ValueError, match="with NaN"):
        found.regrets(np.full(3, np.nan))


def test_of_equal_scores_the_first_goes():
    """As Prune has it: the second weight before the third, which would cost 5."""
    w = np.array([3.0, 1.0, 1.0, 2.0])
    found = oracle(w, lambda v: float(np.sum((w - v) ** 2 * [1, 1, 5, 1])))
    assert found.regrets(w).tolist() == [0, 1, 0]
    assert found.regrets(w - [0, 0, 1e-9, 0]).tolist() == [4, 1, 0]
