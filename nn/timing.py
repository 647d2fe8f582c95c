"""Times of calls that are to be compared: taken in turn, by a clock that stands still for other programs.

    times = nn.timing.race({"float": lambda: gemm(x, w), "int8": lambda: qgemm(q, packed)})
    times["float"] / times["int8"]               # how many times as fast, by the least of the turns
    times.faster("int8", than="float")           # the same by the median of the turns, and its spread

A time alone means little on a machine that clocks up and down and that others use too. What runs in turn
(A B C A B C …) is slowed down alike, and other programs can only ever make a turn longer: the least counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np

TURN = 1e-3    # seconds of calls in one turn: long beside a tick of the clock, short beside a drift

# The time that this thread spent computing: it stands still while another program has the core. (Where its
# tick is too coarse, as on Windows, the wall clock.)
CLOCK: Callable[[], float] = (time.thread_time if time.get_clock_info("thread_time").resolution < 1e-6
                              else time.perf_counter)


class Race(dict[str, float]):
    """Seconds a call of each of several calls, the least of their turns; `turns`: all of them, in arrays of
    equal lengths, in the order in which they were taken."""

    def __init__(self, turns: Mapping[str, np.ndarray]) -> None:
        super().__init__({name: float(taken.min()) for name, taken in turns.items()})
        self.turns = dict(turns)

    def faster(self, name: str, than: str) -> tuple[float, float]:
        """How many times as fast `name` is as `than`, turn by turn: the median of the ratios, and half of the
        range in which the middle half of them lie. Raises KeyError for a name that was not in the race."""
        low, middle, high = np.percentile(self.turns[than] / self.turns[name], [25, 50, 75])
        return float(middle), float(high - low) / 2


def race(calls: Mapping[str, Callable[[], object]], seconds: float = 0.1, rounds: int = 3,
         clock: Callable[[], float] | None = None) -> Race:
    """Time `calls`, functions without arguments by their names, in turn; returns the seconds of each.

    It goes on for about `seconds` for each of them, and for so many `rounds` at least. A call that is shorter
    than a millisecond is made several times a turn, after one that does not count, since the turns of the
    others have thrown what it needs out of the caches. clock: this thread's own time, if left out; pass
    time.perf_counter for what several threads do. Raises ValueError for no calls at all, or no rounds."""
    if not calls or rounds < 1:
        raise ValueError(f"race: wanted one call at least, and one round, got {len(calls)} and {rounds}")
    clock = clock or CLOCK
    many = {name: _calls_a_turn(call, clock) for name, call in calls.items()}
    turns: dict[str, list[float]] = {name: [] for name in calls}
    end, done = time.perf_counter() + seconds * len(calls), 0
    while done < rounds or time.perf_counter() < end:
        for name, call in calls.items():
            turns[name].append(_turn(call, many[name], clock))
        done += 1
    return Race({name: np.array(taken) for name, taken in turns.items()})


def _calls_a_turn(call: Callable[[], object], clock: Callable[[], float]) -> int:
    call()
    start = clock()
    call()
    return max(1, round(TURN / max(clock() - start, 1e-7)))


def _turn(call: Callable[[], object], many: int, clock: Callable[[], float]) -> float:
    """Seconds a call, of so many in a row."""
    if many > 1:
        call()
    start = clock()
    for _ in range(many):
        call()
    return (clock() - start) / many
