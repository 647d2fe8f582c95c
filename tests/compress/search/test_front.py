"""The Pareto front by its definition, and the prediction that parts add up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress import additive, pareto_front
from compress.search.front import combinations
from compress.search.goal import Outcome

OUTCOMES = st.builds(Outcome, st.integers(-5, 5).map(float), st.integers(1, 9).map(float),
                     st.integers(1, 9).map(float))


@given(st.lists(OUTCOMES), st.sampled_from(["nbytes", "milliseconds"]))
def test_the_front_is_what_nothing_beats(outcomes, cost):
    found = dict(enumerate(outcomes))

    def beats(a, b):
        mine, other = getattr(a, cost), getattr(b, cost)
        return mine <= other and a.points >= b.points and (mine, a.points) != (other, b.points)

    front = pareto_front(found, cost)
    assert sorted(front) == [i for i, one in found.items() if not any(beats(a, one) for a in outcomes)]
    along = [(getattr(found[i], cost), found[i].points) for i in front]
    assert along == sorted(along)


@given(st.dictionaries(st.sampled_from("abcd"), st.tuples(st.floats(-9, 1), st.floats(0.01, 1))))
def test_where_parts_add_up_the_prediction_is_what_is_so(parts):
    outcomes = {(): Outcome(0.0, 1e6)}
    points, nbytes = 0.0, 1e6
    for name, (lost, share) in parts.items():
        outcomes[name,] = Outcome(lost, 1e6 * share)
        points, nbytes = points + lost, nbytes * share
    found = additive(tuple(parts), outcomes)
    assert found.points == pytest.approx(points)
    assert found.nbytes == pytest.approx(nbytes)


def test_one_part_is_predicted_to_be_itself_and_what_was_not_measured_is_not_predicted():
    outcomes = {(): Outcome(0.5, 800.0), ("a",): Outcome(-1.0, 100.0)}
    assert additive(("a",), outcomes) == Outcome(-1.0, 100.0)
    assert additive((), outcomes) == Outcome(0.5, 800.0)
    assert additive(("a", "b"), outcomes) is None
    assert additive(("a",), {("a",): Outcome(-1.0, 100.0)}) is None


def test_combinations_have_at_most_one_part_of_each_axis():
    assert list(combinations([["a", "b"], ["c"]])) == [("c",), ("a",), ("a", "c"), ("b",), ("b", "c")]
    assert list(combinations([[], []])) == []


def test_another_cost_is_refused():
    with pytest.raises(ValueError, match='cost must be "nbytes" or "milliseconds", got \'macs\''):
        pareto_front({}, "macs")
    with pytest.raises(ValueError, match="cost is milliseconds, but an outcome was not timed"):
        pareto_front({"a": Outcome(0, 1, 2.0), "b": Outcome(0, 1)}, "milliseconds")
