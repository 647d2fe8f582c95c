"""Successive halving on an objective that is known: its cost, its order, its ties, and that after a kill it
goes on by the same questions."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress import Goal, successive_halving
from compress.search.goal import Outcome
from compress.search.halving import rungs

GOAL = Goal(nbytes=1000)


class Objective:
    """Candidates are numbers: the larger, the more accurate, once trained for long; with noise that falls."""

    def __init__(self, noise=0.0, seed=0):
        self.noise, self.seed, self.asked = noise, seed, []

    def __call__(self, candidates, epochs):
        self.asked.append((tuple(candidates), epochs))
        drawn = (np.random.default_rng([self.seed, epochs, one]).standard_normal() for one in candidates)
        return [Outcome(one + self.noise / epochs * luck, 500.0)
                for one, luck in zip(candidates, drawn, strict=True)]


@given(st.integers(1, 300), st.integers(1, 100), st.integers(2, 5))
def test_each_round_has_a_part_of_the_candidates_and_a_multiple_of_the_epochs(candidates, most, factor):
    found = rungs(candidates, most, factor)
    assert found[0][0] == candidates
    assert found[-1][1] == most
    for (many, few_epochs), (few, epochs) in pairwise(found):
        assert few == many // factor >= 1
        assert few_epochs == epochs // factor >= 1
    largest = max(number * epochs for number, epochs in found)
    assert sum(number * epochs for number, epochs in found) <= len(found) * largest
    assert largest <= candidates * most // factor ** (len(found) - 1) + candidates  # all alike, but for ⌊⌋


def test_the_budget_is_that_of_the_paper():
    """n = 16, R = 8: ⌈log₂ n⌉ rounds of equal cost, 16·1 = 8·2 = 4·4 = 2·8."""
    assert rungs(16, 8) == [(16, 1), (8, 2), (4, 4), (2, 8)]
    assert rungs(27, 9, 3) == [(27, 1), (9, 3), (3, 9)]
    assert rungs(5, 1) == [(5, 1)]
    assert rungs(1, 8) == [(1, 8)]


@given(st.permutations(range(20)), st.integers(1, 16))
def test_without_noise_the_best_is_found_and_the_questions_are_those_of_the_rungs(order, most):
    objective = Objective()
    found = successive_halving(order, objective, GOAL.key, most)
    assert [(len(asked), epochs) for asked, epochs in objective.asked] == rungs(20, most)
    for rung, (asked, epochs) in zip(found, objective.asked, strict=True):
        assert rung.epochs == epochs
        assert list(rung.outcomes) == sorted(asked, reverse=True)
        assert set(asked) == set(range(20 - len(asked), 20))
        assert list(asked) == [one for one in order if one in asked], "in the order that was given"
    assert next(iter(found[-1].outcomes)) == 19


def test_of_equals_the_earlier_stays():
    def measure(candidates, epochs):
        return [Outcome(0.0, 500.0) for _ in candidates]

    names = ["d", "a", "c", "b"]
    found = successive_halving(names, measure, GOAL.key, 4)
    assert [list(rung.outcomes) for rung in found] == [["d", "a", "c", "b"], ["d", "a"], ["d"]]


def test_what_is_too_large_goes_first_however_accurate():
    def measure(candidates, epochs):
        return [Outcome(float(nbytes), float(nbytes)) for nbytes in candidates]

    found = successive_halving([4000, 900, 2000, 100], measure, GOAL.key, 2)
    assert [list(rung.outcomes) for rung in found] == [[900, 100, 2000, 4000], [900, 100]]


@pytest.mark.parametrize("at", [0, 3, 7, 20, 29])
def test_it_goes_on_after_a_kill(at):
    """What is kept of single measurements is asked for again, and not measured again."""
    kept, objective = {}, Objective(noise=3.0)

    def measure(candidates, epochs):
        for one in candidates:
            if (one, epochs) not in kept:
                if len(kept) == at:
                    raise KeyboardInterrupt
                kept[one, epochs] = objective([one], epochs)[0]
        return [kept[one, epochs] for one in candidates]

    whole = successive_halving(range(16), Objective(noise=3.0), GOAL.key, 8)
    with pytest.raises(KeyboardInterrupt):
        successive_halving(range(16), measure, GOAL.key, 8)
    at = 1000
    assert successive_halving(range(16), measure, GOAL.key, 8) == whole
    assert len(objective.asked) == sum(number for number, _ in rungs(16, 8))


def test_seeds_decide_what_noise_does():
    runs = [successive_halving(range(16), Objective(5.0, seed), GOAL.key, 8) for seed in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]


def test_under_noise_it_finds_a_better_one_than_as_many_epochs_of_a_uniform_search():
    """64 epochs: four rounds of 16 against 4 epochs for each of 16 candidates."""
    halved, uniform = [], []
    for seed in range(200):
        objective = Objective(noise=8.0, seed=seed)
        halved.append(next(iter(successive_halving(range(16), objective, GOAL.key, 8)[-1].outcomes)))
        alike = objective(range(16), 4)
        uniform.append(max(range(16), key=lambda one, alike=alike: alike[one].points))
    assert np.mean(halved) > np.mean(uniform) + 2 * np.std(np.subtract(halved, uniform)) / 200**0.5


@pytest.mark.parametrize(("error", "message", "call"), [
    (ValueError, "rungs: candidates must be a whole number >= 1, got 0", lambda: rungs(0, 3)),
    (ValueError, "rungs: most .*got 0", lambda: rungs(3, 0)),
    (ValueError, "rungs: factor must be a whole number >= 2, got 1", lambda: rungs(3, 3, 1)),
    (ValueError, "candidates has 4 twice", lambda: successive_halving([3, 4, 4], Objective(), GOAL.key, 3)),
    (ValueError, "asked for 2 candidates and gave 1 outcomes",
     lambda: successive_halving([3, 4], lambda some, epochs: [Outcome(0, 1)], GOAL.key, 1))])
def test_bad_input_is_refused(error, message, call):
    with pytest.raises(error, match=message):
        call()
