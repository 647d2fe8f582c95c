"""Programs timed beside the float network that they come from, and where their time goes.

Turn by turn (float, A, float, B, …), each after a call that does not count: a drift of the machine hits both
sides of a ratio alike. The clock is the thread's own, which stands still while another program has the core.
What that one does to caches and clock rates it can't see, so the share of the time that others had is kept.
"""

import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import Program
from ..program.profile import Profile
from .bench.timing import CLOCK

PROFILED = 9  # rounds, at most


class Beside(NamedTuple):
    """A Program's time. `faster`: how many times as fast as its float network, the median of the rounds, ±
    `spread` (half of their middle half); `milliseconds`: the float network's median over that; `busy`: the
    share of its turns in which another program had the core; `profile`: where the time goes."""

    milliseconds: float
    faster: float
    spread: float
    busy: float
    profile: Profile


class Turn(NamedTuple):
    """Seconds of a call by the thread's clock and by the wall's."""

    own: float
    wall: float


def times(programs: Mapping[Path, Program], x: np.ndarray, rounds: int) -> dict[Path, Beside]:
    """The times of each on x, beside the first Program of the same name."""
    first: dict[str, Path] = {}
    for path, program in programs.items():
        first.setdefault(program.name, path)
    floats: dict[str, list[Turn]] = {name: [] for name in first}
    turns: dict[Path, list[Turn]] = {path: [] for path in programs}
    ratios: dict[Path, list[float]] = {path: [] for path in programs}
    for _ in range(rounds):
        for path, program in programs.items():
            before, mine = _turn(programs[first[program.name]], x), _turn(program, x)
            floats[program.name].append(before)
            turns[path].append(mine)
            ratios[path].append(before.own / mine.own)
    found = {}
    for path, program in programs.items():
        base = 1000 * statistics.median(turn.own for turn in floats[program.name])
        low, middle, high = statistics.quantiles(ratios[path], n=4)
        faster = 1.0 if path in first.values() else middle
        busy = 1 - min(1, sum(turn.own for turn in turns[path]) / sum(turn.wall for turn in turns[path]))
        profile = program.profile(x, rounds=min(rounds, PROFILED), clock=CLOCK)
        found[path] = Beside(base / faster, faster, (high - low) / 2, busy, profile)
    return found


def _turn(program: Program, x: np.ndarray) -> Turn:
    program(x)
    wall, own = time.perf_counter(), CLOCK()
    program(x)
    return Turn(CLOCK() - own, time.perf_counter() - wall)
