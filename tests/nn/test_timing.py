"""nn.timing: calls are timed in turn, and compared turn by turn."""

from functools import partial

import numpy as np
import pytest

from nn.timing import CLOCK, TURN, Race, race


class Work:
    """Calls of known cost, by a clock of their own; `order` is in which turn they came."""

    def __init__(self, **costs):
        self.now, self.order = 0.0, []
        self.calls = {name: partial(self.run, name, cost) for name, cost in costs.items()}

    def run(self, name, cost):
        self.now += cost
        self.order.append(name)

    def clock(self):
        return self.now


def test_the_seconds_are_those_of_one_call():
    work = Work(short=TURN / 10, long=3 * TURN)
    times = race(work.calls, seconds=0, rounds=4, clock=work.clock)
    assert times == pytest.approx({"short": TURN / 10, "long": 3 * TURN})
    assert {name: len(turns) for name, turns in times.turns.items()} == {"short": 4, "long": 4}


def test_they_run_in_turn_and_short_ones_warm_up():
    work = Work(short=TURN / 4, long=3 * TURN)
    race(work.calls, seconds=0, rounds=2, clock=work.clock)
    assert work.order == ["short"] * 2 + ["long"] * 2 + 2 * (["short"] * 5 + ["long"])


def test_the_least_counts_and_ratios_are_taken_turn_by_turn():
    times = Race({"a": np.array([2.0, 4.0, 9.0]), "b": np.array([1.0, 4.0, 1.0])})
    assert times == {"a": 2, "b": 1}
    assert times.faster("b", than="a") == (2, 2)    # ratios 2, 1, 9: their quartiles are 1.5 and 5.5
    with pytest.raises(KeyError, match="c"):
        times.faster("c", than="a")


def test_it_goes_on_for_the_time_that_is_given():
    assert len(race({"nothing": lambda: None}, seconds=0.02).turns["nothing"]) > 3
    assert CLOCK() <= CLOCK()


def test_no_calls_and_no_rounds_are_refused():
    for wrong in (lambda: race({}), lambda: race({"a": int}, rounds=0)):
        with pytest.raises(ValueError, match="race: wanted one call at least, and one round"):
            wrong()
