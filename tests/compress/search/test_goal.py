"""A goal: what reaches it, in which order outcomes stand, and what is nearest where nothing does."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress import Goal
from compress.search.goal import Outcome

OUTCOMES = st.builds(Outcome, st.floats(-50, 5), st.floats(1, 1e6))
GOALS = st.builds(Goal, st.floats(1, 1e6), st.none(), st.none() | st.floats(0, 50)) | st.builds(
    Goal, st.none(), st.none(), st.floats(0, 50))


@given(GOALS, st.lists(OUTCOMES, min_size=1))
def test_what_reaches_the_goal_stands_before_what_does_not(goal, outcomes):
    ordered = sorted(outcomes, key=goal.key)
    if any(map(goal.reached, outcomes)):
        assert goal.reached(ordered[0])
    limits = [one for one in ordered if goal.excess(one) <= 1]
    assert ordered[:len(limits)] == limits


@given(GOALS, OUTCOMES, st.floats(0, 5), st.floats(0, 100))
def test_smaller_and_more_accurate_is_never_worse(goal, outcome, points, nbytes):
    better = Outcome(outcome.points + points, outcome.nbytes / (1 + nbytes))
    assert goal.key(better) <= goal.key(outcome)
    assert goal.reached(better) or not goal.reached(outcome)


def test_limits_are_within_and_the_margin_too():
    goal = Goal(nbytes=100, margin=0.5)
    assert goal.reached(Outcome(-0.5, 100))
    assert not goal.reached(Outcome(-0.5, 100.5))
    assert not goal.reached(Outcome(-0.51, 100))
    assert goal.excess(Outcome(0, 150)) == 1.5
    assert goal.excess(Outcome(0, 50)) == 1
    assert goal.shortfall(Outcome(-2, 50)) == 1.5
    assert Goal(milliseconds=2).excess(Outcome(0, 1, 3.0)) == 1.5
    assert Goal(1, 2).excess(Outcome(0, 4, 3.0)) == 4


def test_with_a_limit_the_most_accurate_within_it_and_without_one_the_smallest_within_the_margin():
    small, middle, large = Outcome(-3, 10), Outcome(-0.4, 60), Outcome(0.2, 200)
    every = [large, small, middle]
    assert sorted(every, key=Goal(nbytes=100).key) == [middle, small, large]
    assert sorted(every, key=Goal(margin=0.5).key) == [middle, large, small]


def test_the_nearest_are_the_best_within_the_limit_and_the_smallest_within_the_margin():
    goal = Goal(nbytes=100, margin=0.5)
    outcomes = {"a": Outcome(-3, 90), "b": Outcome(-0.75, 80), "c": Outcome(0, 400), "d": Outcome(-0.2, 150)}
    assert goal.nearest(outcomes) == {
        "b": "-0.75 points where -0.50 is wanted, 0.25 short",
        "d": "150 bytes where 100 are wanted, 1.50 times as many"}
    assert list(goal.nearest({**outcomes, "e": Outcome(-0.5, 100)}).items()) == [("e", "")]
    assert list(Goal(nbytes=10).nearest(outcomes)) == ["b"]
    assert list(Goal(margin=0).nearest({"a": Outcome(-3, 90)})) == ["a"]
    assert goal.nearest({}) == {}


@pytest.mark.parametrize(("error", "message", "call"), [
    (ValueError, "wants nbytes, milliseconds or margin", lambda: Goal()),
    (ValueError, "Goal: nbytes must be > 0 .*got 0", lambda: Goal(nbytes=0)),
    (ValueError, "Goal: milliseconds .*-1", lambda: Goal(milliseconds=-1)),
    (ValueError, "Goal: margin must be >= 0 .*got -0.5", lambda: Goal(margin=-0.5)),
    (ValueError, "Goal: margin .*nan", lambda: Goal(margin=math.nan)),
    (TypeError, "Goal: nbytes must be a number, got '12k'", lambda: Goal(nbytes="12k")),
    (ValueError, "was not timed", lambda: Goal(milliseconds=1).key(Outcome(0, 1))),
    (ValueError, "Outcome: points must be .*got nan", lambda: Outcome(math.nan, 1)),
    (ValueError, "Outcome: points must be finite, got -inf", lambda: Outcome(-math.inf, 1)),
    (ValueError, "Outcome: nbytes must be > 0 .*got 0", lambda: Outcome(0, 0)),
    (ValueError, "Outcome: milliseconds must be > 0 .*got 0", lambda: Outcome(0, 1, 0)),
    (TypeError, "Outcome: points must be a number, got None", lambda: Outcome(None, 1))])
def test_what_is_no_goal_or_outcome_is_refused(error, message, call):
    with pytest.raises(error, match=message):
        call()


def test_it_reads_as_it_is_meant():
    assert str(Goal(12_000, None, 0.5)) == "at most 12,000 bytes, at most 0.5 points lost"
    assert str(Goal(milliseconds=0.25)) == "at most 0.25 ms"
