"""Schedules: the factor of the learning rate as a function of progress, from 0 at the first step towards 1.

    nn.train.fit(..., schedule=Cosine())
    nn.train.fit(..., schedule=WarmUp(Cosine(), until=0.1))

Step k of T is at progress k/T, so that a schedule need not know of batches and epochs. At every step the
factor is that of the PyTorch scheduler named in brackets.
"""

import math
from bisect import bisect_right
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from ..arguments import count, flag, instance, number

Schedule = Callable[[float], float]

# k/T and a border that are equal as fractions may differ in their last bits; the step comes after the border.
SLACK = 1e-9


class _Schedule:
    """A schedule: `factor`, with the function that built it and the settings. It prints as that call, equals
    what the same call builds, is pickled as it, and does not change."""

    def __init__(self, build: Callable[..., Schedule], factor: Schedule, **settings: Any) -> None:
        vars(self).update(_build=build, _factor=factor, _settings=settings, **settings)

    def __call__(self, progress: float) -> float:
        return self._factor(progress)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{self!r} can't be changed: build another")

    def __eq__(self, other: object) -> bool:
        return type(other) is _Schedule and (other._build, other._settings) == (self._build, self._settings)

    def __hash__(self) -> int:
        return hash((self._build, *self._settings.values()))

    def __reduce__(self) -> tuple:
        return self._build, tuple(self._settings.values())

    def __repr__(self) -> str:
        settings = ", ".join(f"{key}={value!r}" for key, value in self._settings.items())
        return f"{self._build.__name__}({settings})"


def Step(every: float, gamma: float = 0.1) -> Schedule:
    """γ^⌊progress/every⌋: a fall by γ = `gamma` at every `every` of the run (StepLR)."""
    every, gamma = number("Step", "every", every, above=True), number("Step", "gamma", gamma)
    return _Schedule(Step, lambda progress: gamma ** math.floor(progress / every + SLACK),
                     every=every, gamma=gamma)


def MultiStep(milestones: tuple[float, ...], gamma: float = 0.1) -> Schedule:
    """A fall by γ = `gamma` at each of the milestones, which are progress (MultiStepLR)."""
    milestones, gamma = _rising("MultiStep", "milestones", milestones), number("MultiStep", "gamma", gamma)
    return _Schedule(MultiStep, lambda progress: gamma ** bisect_right(milestones, progress + SLACK),
                     milestones=milestones, gamma=gamma)


def Linear(start: float = 1.0, end: float = 0.0) -> Schedule:
    """A straight line from `start` to `end` (LinearLR)."""
    start, end = number("Linear", "start", start), number("Linear", "end", end)
    return _Schedule(Linear, lambda progress: start + (end - start) * progress, start=start, end=end)


def Cosine(end: float = 0.0) -> Schedule:
    """Half a cosine from 1 to `end` (CosineAnnealingLR; Loshchilov & Hutter 2017, eq. 5, no restarts)."""
    end = number("Cosine", "end", end)
    return _Schedule(Cosine, lambda progress: end + (1 - end) * (1 + math.cos(math.pi * progress)) / 2,
                     end=end)


def OneCycle(pct_start: float = 0.3, div_factor: float = 25.0, final_div_factor: float = 1e4,
             linear: bool = False, steps: int | None = None) -> Schedule:
    """Up from 1/div_factor to 1 in the first `pct_start` of the run, then down to 1/(div_factor ·
    final_div_factor): half cosines, or lines if `linear` (OneCycleLR, no momentum; Smith & Topin 2018).

    PyTorch's ends are reached at the step before the border; with `steps`, the number of steps of the run, so
    are ours, and without it, at the border. The optimizer's rate is max_lr.
    """
    settings = {"pct_start": number("OneCycle", "pct_start", pct_start, 0, 1, closed=True),
                "div_factor": number("OneCycle", "div_factor", div_factor, above=True),
                "final_div_factor": number("OneCycle", "final_div_factor", final_div_factor, above=True),
                "linear": flag("OneCycle", "linear", linear),
                "steps": None if steps is None else count("OneCycle", "steps", steps)}
    one_step = 0.0 if steps is None else 1 / steps
    top, bottom = pct_start - one_step, 1 - one_step

    def between(a, b, share):
        return a + (b - a) * (share if linear else (1 - math.cos(math.pi * min(share, 1.0))) / 2)

    def factor(progress):
        if progress <= top + SLACK:
            return between(1 / div_factor, 1.0, progress / top if top > 0 else 1.0)
        share = (progress - top) / (bottom - top) if bottom > top else 1.0
        return between(1.0, 1 / (div_factor * final_div_factor), share)

    return _Schedule(OneCycle, factor, **settings)


def Chain(schedules: tuple[Schedule, ...], borders: tuple[float, ...]) -> Schedule:
    """One schedule after the other, each from 0 to 1; the next takes over at a border (SequentialLR).

    schedules: functions of progress. borders: one fewer, in ascending order, where each but the first begins.
    Raises ValueError for borders that do not fit, TypeError for what is not a function.
    """
    schedules, borders = _several("Chain", "schedules", schedules), _rising("Chain", "borders", borders)
    for i, schedule in enumerate(schedules):
        instance("Chain", f"schedules[{i}]", schedule, Callable, "a function")
    if len(borders) != len(schedules) - 1:
        raise ValueError(f"Chain: {len(schedules)} schedules have {len(schedules) - 1} borders, "
                         f"got {len(borders)}")

    def factor(progress):
        i = bisect_right(borders, progress + SLACK)
        start, end = (0.0, *borders, 1.0)[i:i + 2]
        return schedules[i](max(progress - start, 0.0) / (end - start))

    return _Schedule(Chain, factor, schedules=schedules, borders=borders)


def WarmUp(then: Schedule, until: float = 0.1, start: float = 0.0) -> Schedule:
    """A line from `start` up to 1 in the first `until` of the run, then `then` (Goyal et al. 2017). Raises
    TypeError for a `then` that is not a schedule, ValueError for numbers out of range."""
    instance("WarmUp", "then", then, Callable, "a function")
    number("WarmUp", "until", until, 0, 1, above=True)
    number("WarmUp", "start", start)
    return Chain((Linear(start, 1.0), then), (until,))


def _several(who: str, name: str, values: Any) -> tuple:
    try:
        return tuple(values)
    except TypeError:
        raise TypeError(f"{who}: {name} must be a tuple or a list, got {values!r}") from None


def _rising(who: str, name: str, values: tuple[float, ...]) -> tuple[float, ...]:
    found = tuple(number(who, name, value, 0, 1, above=True) for value in _several(who, name, values))
    if any(a >= b for a, b in pairwise(found)):
        raise ValueError(f"{who}: {name} must rise, got {found}")
    return found
