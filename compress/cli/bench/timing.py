"""How things are timed: in turn, in many short rounds, with one statistic for all.

A time alone means nothing on a machine that clocks up and down and that others use too. So what is compared
runs in one process, in turn (A B C A B C …): a drift hits all alike. The number is the median of the rounds;
those in which another program took the core do not count, as long as enough others are there.

A share of a peak is such a comparison too, with a loop that does nothing but multiply (csrc/peak.c), in turn:
P A P A P. Both sides are means over turns of the same kind by the same clock. Each round holds the kernel
against the two turns of the loop around it, which ran at its clock rate; the median of the rounds counts."""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from timeit import Timer
from typing import Any, NamedTuple

from nn import kernels

from ...program.profile import CLOCK

TURN = 2e-3  # seconds of calls in one turn: long beside a tick of the clock, short beside a drift
ROUNDS = 9  # at least
LOOP = 100_000  # steps of the loop that measures a peak: a fraction of a turn

try:
    from resource import RUSAGE_SELF, getrusage
except ImportError:  # Windows
    getrusage = None


class Times(NamedTuple):
    """Seconds a call: median and least of the rounds; spread: their middle half, over the median."""

    median: float
    least: float
    spread: float
    rounds: int


class Share(NamedTuple):
    """A kernel's speed as a share of the peak of its route. Peaks in multiply-accumulates a second: of the
    first and the last turn, and the median of what the rounds that counted were held against."""

    share: float
    times: Times
    before: float
    after: float
    peak: float


class Turn(NamedTuple):
    """Seconds a call; whether the core was ours all the time; the peak beside it, where one is measured."""

    seconds: float
    quiet: bool
    peak: float = 0.0


def timer(statement: str, /, clock: Callable[[], float] = CLOCK, **names: object) -> Timer:
    """A statement to be timed, and what its names mean. A statement, so that no call is timed around it.

    `clock`: time.perf_counter for what several threads do, whose time the default does not see."""
    return Timer(statement, globals=names, timer=clock)


def interleaved(contestants: Mapping[str, Timer], seconds: float) -> dict[str, Times]:
    """The times of each, measured in turn, for about `seconds` for each of them.

    A turn begins with a call that does not count: it brings back into the caches what the turns of the
    others have thrown out."""
    calls = {name: _calls(one) for name, one in contestants.items()}
    turns: dict[str, list[Turn]] = {name: [] for name in contestants}
    end = time.perf_counter() + seconds * len(contestants)
    done = 0
    while done < ROUNDS or time.perf_counter() < end:
        for name, one in contestants.items():
            turns[name].append(_turn(one, calls[name]))
        done += 1
    return {name: _times([turn.seconds for turn in _quiet(taken)]) for name, taken in turns.items()}


def first_route(routes: Iterable[str]) -> str | None:
    """The first of these routes whose peak can be measured here; None where there is none."""
    return next((route for route in routes if route in kernels.peak_routes()), None)


def share_beside(routes: Iterable[str], one: Timer, macs: int, seconds: float) -> dict[str, float]:
    """What stands beside a comparison: the share of the peak of the first of these routes, if one is here."""
    route = first_route(routes)
    if route is None:
        return {}
    return {f"% of the peak of {route}": digits(100 * share_of_peak(route, one, macs, seconds).share)}


def share_of_peak(route: str, one: Timer, macs: int, seconds: float) -> Share:
    """What share of the peak of `route` a call of `macs` multiply-accumulates reaches."""
    go_round = kernels.peak_loop(route)
    loop, loop_macs = timer("go_round(steps)", go_round=go_round, steps=LOOP), go_round(LOOP)
    loops, calls = _calls(loop), _calls(one)
    peaks, turns = [_turn(loop, loops)], []
    end = time.perf_counter() + seconds
    while len(turns) < ROUNDS or time.perf_counter() < end:
        turn = _turn(one, calls)
        peaks.append(_turn(loop, loops))
        before, after = peaks[-2:]
        around = loop_macs / ((before.seconds + after.seconds) / 2)
        turns.append(Turn(turn.seconds, turn.quiet and before.quiet and after.quiet, around))
    turns = _quiet(turns)
    share = statistics.median(macs / turn.seconds / turn.peak for turn in turns)
    counted = statistics.median(turn.peak for turn in turns)
    first, last = (loop_macs / peaks[at].seconds for at in (0, -1))
    return Share(share, _times([turn.seconds for turn in turns]), first, last, counted)


def context(times: Mapping[str, Times], unit: str, speed: Callable[[float], float]) -> dict[str, Any]:
    """What stands beside a comparison: median and best round of each, as `speed(seconds)` in `unit`."""
    return {unit: {name: digits(speed(one.median)) for name, one in times.items()},
            "best": {name: digits(speed(one.least)) for name, one in times.items()},
            "spread": f"{max(one.spread for one in times.values()):.0%}",
            "rounds": next(iter(times.values())).rounds}


def digits(value: float) -> float:
    """Rounded to four significant digits, which is more than any time here is good for."""
    return float(f"{value:.4g}")


def _calls(one: Timer) -> int:
    """How many calls make a turn."""
    one.timeit(1)
    calls = 1
    while one.timeit(calls) < TURN:
        calls *= 2
    return calls


def _turn(one: Timer, calls: int) -> Turn:
    one.timeit(1)
    before = _interruptions()
    seconds = one.timeit(calls) / calls
    return Turn(seconds, _interruptions() == before)


def _interruptions() -> int:
    """How often this process has lost its core so far. What runs after that finds cold caches."""
    return getrusage(RUSAGE_SELF).ru_nivcsw if getrusage else 0


def _quiet(turns: list[Turn]) -> list[Turn]:
    """The undisturbed turns; all of them, where those are too few."""
    quiet = [turn for turn in turns if turn.quiet]
    return quiet if len(quiet) >= ROUNDS else turns


def _times(taken: list[float]) -> Times:
    low, middle, high = statistics.quantiles(taken, n=4)
    return Times(middle, min(taken), (high - low) / middle, len(taken))
