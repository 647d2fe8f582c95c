"""Which weights a pattern prunes together, and how many of these groups there are."""

import copy
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
import nn
from compress import Invariant, Linear, Prune, Transform
from compress.pruning.element import Element
from compress.pruning.n_of_m import NOfM
from compress.pruning.pattern import PATTERNS, Pattern, pattern_named
from compress.pruning.random import Random
from compress.pruning.score import SCORES, Score, score_named
from compress.stored import as_matrix
from compress.testing import check
from compress.transform import Context

CONVOLUTION, LINEAR = (3, 2, 1, 2), (4, 3)


def labels(name, shape):
    return pattern_named(name).labels(shape)


@pytest.mark.parametrize(("name", "groups"), [("filter", 3), ("channel", 2), ("shape", 4), ("row", 3),
                                              ("column", 4), ("element", 12), ("2x1", 8), ("4x2", 2)])
def test_the_groups_of_a_convolution(name, groups):
    found = labels(name, CONVOLUTION)
    assert found.shape == CONVOLUTION
    assert set(found.flat) == set(range(groups))
    assert pattern_named(name).groups(CONVOLUTION) == groups


@pytest.mark.parametrize(("name", "same"), [
    ("filter", lambda f, c, h, w: f), ("row", lambda f, c, h, w: f), ("channel", lambda f, c, h, w: c),
    ("shape", lambda f, c, h, w: (c, h, w)), ("column", lambda f, c, h, w: (c, h, w))])
def test_what_stands_together_in_a_convolution(name, same):
    found = labels(name, CONVOLUTION)
    by_label = {}
    for at in np.ndindex(CONVOLUTION):
        by_label.setdefault(found[at], set()).add(same(*at))
    assert all(len(group) == 1 for group in by_label.values())
    assert len({group.pop() for group in by_label.values()}) == found.max() + 1


def test_a_block_is_rows_of_outputs_by_columns_of_the_matrix_and_the_last_is_shorter():
    np.testing.assert_array_equal(labels("2x2", (3, 5)), [[0, 0, 1, 1, 2], [0, 0, 1, 1, 2], [3, 3, 4, 4, 5]])
    np.testing.assert_array_equal(as_matrix(labels("2x3", (2, 2, 1, 3)))[0], [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(pattern_named("2x2").sizes((3, 5)), [4, 4, 2, 2, 2, 1])


@given(st.sampled_from(["element", "row", "column", "filter", "channel", "shape", "3x2", "4x1", "2:4"]),
       st.integers(0, 2**32 - 1))
def test_groups_of_different_sizes_are_compared_by_their_means(name, seed):
    """The sum of a large group is large though each of its weights is small: ranked against another layer's
    groups, each is divided by its size."""
    pattern, rng = pattern_named(name), np.random.default_rng(seed)
    shape = (*rng.integers(1, 6, 3), 4) if 2 not in pattern.dimensions else (rng.integers(1, 6), 4)
    sizes = pattern.sizes(shape)
    assert sizes.sum() == np.prod(shape)
    assert len(sizes) == pattern.groups(shape) == pattern.labels(shape).max() + 1
    np.testing.assert_allclose(pattern.collect(np.full(shape, 0.5)) / sizes, 0.5)
    kept = rng.random(len(sizes)) < 0.5
    np.testing.assert_array_equal(pattern.collect(pattern.spread(kept, shape)), sizes * kept)


@given(st.integers(2**24, 2**40), st.sampled_from([0.1, 0.3, 0.9, 1 / 3, 0.999]))
def test_counts_are_exact_beyond_what_float32_can_count(n, sparsity):
    """In float32 the count is off by up to n/2²⁴; here by no more than rounding, ties aside."""
    off = abs(Element().count((n, 1), sparsity) - Fraction(sparsity) * n)
    assert off <= Fraction(1, 2) + Fraction(n, 2**53)


def test_ties_prune_exactly_as_many_the_first_of_them():
    mask = Element().choose(np.ones((3, 4)), 5)
    np.testing.assert_array_equal(mask.ravel(), [0] * 5 + [1] * 7)


def test_ties_keep_exactly_n_of_every_m():
    mask = NOfM(2, 4).choose(np.ones((3, 8)), 12)
    np.testing.assert_array_equal(mask.reshape(-1, 4), [[0, 0, 1, 1]] * 6)


def test_n_of_m_runs_along_what_a_product_sums_over():
    """Of a convolution with four input channels, the four of one position."""
    shape = (2, 4, 1, 3)
    w = np.arange(24, dtype=np.float32).reshape(shape)
    mask = NOfM(1, 4).choose(w, 18)
    assert np.all(mask.sum(axis=1) == 1)
    assert np.all(mask[:, 3] == 1)


@pytest.mark.parametrize("shape", [(4, 6), (8, 3), (4, 1, 3, 3)])
def test_n_of_m_on_a_length_that_m_does_not_divide_is_refused(shape):
    with pytest.raises(ValueError, match=r"fc: the pattern '2:4' needs rows whose length 4 divides; .*rows"):
        Prune(pattern="2:4").fit(np.ones(shape, np.float32), Context("fc"))


@pytest.mark.parametrize("name", ["filter", "channel", "shape"])
def test_patterns_of_convolutions_refuse_a_linear_layer(name):
    with pytest.raises(ValueError, match=rf"fc: the pattern '{name}' is for weights of 3 or 4 dimensions"):
        Prune(0.5, pattern=name).fit(np.ones(LINEAR, np.float32), Context("fc"))


def test_what_a_pattern_makes():
    assert Prune(0.5, pattern="4x1").makes == {Invariant.SUPPORT}
    assert Prune(pattern="2:4").makes == {Invariant.SUPPORT, Invariant.NM}
    assert Prune(pattern="1:4").sparsity == 0.75


@pytest.mark.parametrize(("name", "message"), [
    ("blocks", "pattern must be a Pattern or one of .*element.*; got 'blocks'"), (None, "got None"),
    ("0x4", "a block has rows and columns"), ("4:2", "0 < N < M; got '4:2'"), ("0:4", "0 < N < M"),
    ("4x1x1", "got '4x1x1'")])
def test_a_pattern_that_is_none_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        Prune(0.5, pattern=name)


@pytest.mark.parametrize("settings", [{"sparsity": 0.6}, {"sparsity": 0.0}, {"threshold": 0.1}])
def test_n_of_m_has_a_sparsity_of_its_own(settings):
    with pytest.raises(ValueError, match=r"the pattern '2:4' has the sparsity 0\.5; give no other"):
        Prune(**settings, pattern="2:4")


@pytest.fixture
def tables():
    before = dict(PATTERNS), dict(SCORES)
    yield
    for registry, those in zip((PATTERNS, SCORES), before, strict=True):
        registry.clear()
        registry.update(those)


def test_a_score_and_a_pattern_of_ones_own_are_a_class_each(tables):
    class Kernel(Pattern, name="kernel"):
        dimensions = frozenset({4})

        def labels(self, shape):
            return np.broadcast_to(np.arange(shape[0] * shape[1]).reshape(*shape[:2], 1, 1), shape)

    class Smallest(Score, name="largest first"):
        def saliency(self, w, context):
            return 1 / (1 + np.abs(w))

    report = check(Prune(0.5, score="largest first", pattern="kernel"), examples=3)
    assert report, str(report)
    with pytest.raises(TypeError, match="Thief: the score 'magnitude' is Magnitude already"):
        class Thief(Score, name="magnitude"):
            def saliency(self, w, context):
                return w
    with pytest.raises(TypeError, match="Half: a subclass of Pattern needs labels"):
        class Half(Pattern, name="half"):
            pass


@pytest.mark.parametrize("score", ["l3", 3, None, Prune, Transform])
def test_a_score_that_is_none_is_refused(score):
    with pytest.raises(ValueError, match=r"score must be a Score or one of .*magnitude"):
        Prune(0.5, score=score)


@pytest.mark.parametrize("given", [lambda w: -np.abs(w), lambda w: np.abs(w)[:1], lambda w: w * np.nan],
                         ids=["negative", "short", "nan"])
def test_a_score_that_gives_no_saliency_is_refused(tables, given):
    class Wrong(Score, name="wrong"):
        def saliency(self, w, context):
            return given(w)

    with pytest.raises(ValueError, match="fc: the score 'wrong' must give finite numbers, none negative"):
        Prune(0.5, score="wrong").fit(np.ones(LINEAR, np.float32), Context("fc"))


def test_a_score_is_told_the_context_at_every_step_that_prunes(tables):
    """Of the model that is trained, also where that is a copy."""
    told = []

    class Told(Score, name="told"):
        reads = True

        def saliency(self, w, context):
            told.append((context.name, context.hessian))
            return np.abs(w)

    x = np.ones((3, 4), np.float32)
    model = compress.prepare(nn.Sequential(nn.Linear(4, 5)), Prune(0.5, Linear(3), score="told"), x)
    for twin in (model, copy.deepcopy(model)):
        told.clear()
        for step in range(1, 6):
            twin[0].weight.parametrization.update(twin[0].weight, step)
        assert [name for name, _ in told] == ["0.weight"] * 3
        assert all(hessian.func.__self__.model is twin for _, hessian in told)
    assert "context" not in " ".join(model.state_dict())


@pytest.mark.parametrize("name", ["1000x1", "1x1000", f"{10**30}x{10**30}"])
def test_a_block_may_be_larger_than_the_matrix(name):
    """Then it is all of its rows, or of its columns."""
    labels = pattern_named(name).labels((6, 10))
    wanted = {"1000x1": np.arange(10) + 0 * np.zeros((6, 1), int), "1x1000": np.arange(6)[:, None]}
    np.testing.assert_array_equal(labels, np.broadcast_to(wanted.get(name, 0), (6, 10)))
    assert pattern_named(name).groups((6, 10)) == labels.max() + 1


@pytest.mark.parametrize("name", ["element", "4x1", "2:4", "column"])
def test_choices_are_pickled_and_compared(name):
    technique = Prune(None if ":" in name else 0.5, Linear(3), score=Random(seed=1), pattern=name)
    assert pickle.loads(pickle.dumps(technique)) == technique == copy.deepcopy(technique)
    assert Prune(0.5, score="l2") == Prune(0.5, score=score_named("l2")) != Prune(0.5)


def test_a_random_score_is_the_same_every_time_and_another_for_each_layer():
    w = np.zeros(LINEAR)
    one, again, other = (score_named("random").saliency(w, Context(name)) for name in ("a", "a", "b"))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one, type(score_named("random"))(seed=1).saliency(w, Context("a")))


def test_of_single_weights_l1_l2_and_magnitude_prune_the_same():
    w = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)
    masks = [Prune(0.6, score=name).fit(w, Context()).mask for name in ("magnitude", "l1", "l2")]
    np.testing.assert_array_equal(masks[0], masks[1])
    np.testing.assert_array_equal(masks[0], masks[2])


def test_of_rows_l1_and_l2_are_their_norms():
    w = np.array([[3, 0, 0, 0], [1.2, 1.2, 1.2, 0]], np.float32)    # L1: 3 < 3.6; L2²: 9 > 4.32
    assert Prune(0.5, pattern="row", score="l1").fit(w, Context()).mask[:, 0].tolist() == [0, 1]
    assert Prune(0.5, pattern="row", score="l2").fit(w, Context()).mask[:, 0].tolist() == [1, 0]
