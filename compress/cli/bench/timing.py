"""How things are timed: in turn, many short rounds, one statistic for all.

A time alone means nothing on a machine that clocks up and down and that others use too. So what is compared
runs in one process, in turn (A B C A B C …): a drift hits all alike. The number is the median of the rounds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from timeit import Timer
from typing import NamedTuple

from nn import kernels

__all__ = ["Share", "Times", "interleaved", "share_of_peak"]

TURN = 2e-3  # seconds of calls in one turn: long beside a tick of the clock, short beside a drift
ROUNDS = 9  # at least; an odd number has a middle one

# The time this thread spent computing: while other programs have the core, that clock stands still. Everything
# timed here runs on one thread. (Where its tick is too coarse, as on Windows, the wall clock.)
CLOCK = time.thread_time if time.get_clock_info("thread_time").resolution < 1e-6 else time.perf_counter


class Times(NamedTuple):
    """Seconds a call: median and least of the rounds; spread: middle half of the rounds over the median."""

    median: float
    least: float
    spread: float
    rounds: int


def interleaved(contestants: Mapping[str, Timer], seconds: float) -> dict[str, Times]:
    """The times of each, measured in turn for about `seconds` for each of them.

    Make them with `timer`. A turn starts with a call that does not count: it brings back into the cache
    what the others' turns have thrown out.
    """
    calls = {name: _calls(timer) for name, timer in contestants.items()}
    rounds: dict[str, list[float]] = {name: [] for name in contestants}
    end = time.perf_counter() + seconds * len(contestants)
    while time.perf_counter() < end or len(next(iter(rounds.values()), range(ROUNDS))) < ROUNDS:
        for name, one in contestants.items():
            one.timeit(1)
            rounds[name].append(one.timeit(calls[name]) / calls[name])
    return {name: _times(taken) for name, taken in rounds.items()}


class Share(NamedTuple):
    """A kernel's speed as a share of the peak of its route; speeds in multiply-accumulates a second."""

    share: float
    times: Times
    before: float
    after: float


def share_of_peak(route: str, one: Timer, macs: int, seconds: float) -> Share:
    """How much of the peak of `route` a call of `macs` multiply-accumulates reaches.

    Each round measures the peak before and after the call; the larger counts. The share is the median of
    the rounds'.
    """
    calls = _calls(one)
    peaks, taken, shares = [kernels.peak(route, TURN)], [], []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(taken) < ROUNDS:
        one.timeit(1)
        taken.append(one.timeit(calls) / calls)
        peaks.append(kernels.peak(route, TURN))
        shares.append(macs / taken[-1] / max(peaks[-2:]))
    return Share(statistics.median(shares), _times(taken), peaks[0], peaks[-1])


def timer(statement: str, **names: object) -> Timer:
    """A statement to be timed, and what its names mean. (A statement, not a function: no call around it.)"""
    return Timer(statement, globals=names, timer=CLOCK)


def _calls(one: Timer) -> int:
    """How many calls make a turn."""
    one.timeit(1)
    calls = 1
    while (taken := one.timeit(calls)) < TURN and calls < 1 << 20:
        calls = max(2 * calls, int(calls * TURN / max(taken, 1e-7)) + 1) if taken < TURN / 2 else 2 * calls
    return calls


def _times(taken: list[float]) -> Times:
    low, middle, high = statistics.quantiles(taken, n=4)
    return Times(middle, min(taken), (high - low) / middle, len(taken))
