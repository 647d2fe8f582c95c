"""Schedules: the factor of the learning rate as a function of progress, from 0 at the first step towards 1.

    nn.train.fit(..., schedule=Cosine())
    nn.train.fit(..., schedule=WarmUp(Cosine(), until=0.1))

Step k of T is at progress k/T, so that a schedule need not know of batches and epochs. At every step the
factor is that of the PyTorch scheduler named in brackets.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from ..arguments import count, flag, instance, number

Schedule = Callable[[float], float]

# k/T and a border that are equal as fractions may differ in their last bits; the step comes after the border.
SLACK = 1e-9


class _Settings:
    """What a schedule is made of, checked: equal settings make equal schedules, which print as what builds
    them. They don't change. (Dataclasses, which do the same, take half a millisecond each to import.)"""

    def __init__(self, **settings: Any) -> None:
        vars(self).update(settings)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{self!r} can't be changed: build another")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in vars(self).items())})"


class Step(_Settings):
    """γ^⌊progress/every⌋: a fall by γ = `gamma` at every `every` of the run (StepLR)."""

    def __init__(self, every: float, gamma: float = 0.1) -> None:
        super().__init__(every=number("Step", "every", every, above=True),
                         gamma=number("Step", "gamma", gamma))

    def __call__(self, progress: float) -> float:
        return self.gamma ** math.floor(progress / self.every + SLACK)


class MultiStep(_Settings):
    """A fall by γ = `gamma` at each of the milestones, which are progress (MultiStepLR)."""

    def __init__(self, milestones: tuple[float, ...], gamma: float = 0.1) -> None:
        super().__init__(milestones=_rising("MultiStep", "milestones", milestones),
                         gamma=number("MultiStep", "gamma", gamma))

    def __call__(self, progress: float) -> float:
        return self.gamma ** bisect_right(self.milestones, progress + SLACK)


class Linear(_Settings):
    """A straight line from `start` to `end` (LinearLR)."""

    def __init__(self, start: float = 1.0, end: float = 0.0) -> None:
        super().__init__(start=number("Linear", "start", start), end=number("Linear", "end", end))

    def __call__(self, progress: float) -> float:
        return self.start + (self.end - self.start) * progress


class Cosine(_Settings):
    """Half a cosine from 1 to `end` (CosineAnnealingLR; Loshchilov & Hutter 2017, eq. 5, no restarts)."""

    def __init__(self, end: float = 0.0) -> None:
        super().__init__(end=number("Cosine", "end", end))

    def __call__(self, progress: float) -> float:
        return self.end + (1 - self.end) * (1 + math.cos(math.pi * progress)) / 2


class OneCycle(_Settings):
    """Up from 1/div_factor to 1 in the first `pct_start` of the run, in the rest down to 1/(div_factor ·
    final_div_factor), along half a cosine, or straight if `linear` (OneCycleLR without its momentum; Smith &
    Topin 2018).

    PyTorch's ends are reached at the step before the border; with `steps`, the number of steps of the run, so
    are ours, and without it, at the border. The optimizer's rate is max_lr.
    Raises ValueError for invalid steps.
    """

    def __init__(self, pct_start: float = 0.3, div_factor: float = 25.0, final_div_factor: float = 1e4,
                 linear: bool = False, steps: int | None = None) -> None:
        super().__init__(
            pct_start=number("OneCycle", "pct_start", pct_start, 0, 1, closed=True),
            div_factor=number("OneCycle", "div_factor", div_factor, above=True),
            final_div_factor=number("OneCycle", "final_div_factor", final_div_factor, above=True),
            linear=flag("OneCycle", "linear", linear),
            steps=None if steps is None else count("OneCycle", "steps", steps))

    def __call__(self, progress: float) -> float:
        one_step = 0.0 if self.steps is None else 1 / self.steps
        top, bottom = self.pct_start - one_step, 1 - one_step
        first, last = 1 / self.div_factor, 1 / (self.div_factor * self.final_div_factor)
        if progress <= top + SLACK:
            return self._between(first, 1.0, progress / top if top > 0 else 1.0)
        return self._between(1.0, last, (progress - top) / (bottom - top) if bottom > top else 1.0)

    def _between(self, a: float, b: float, share: float) -> float:
        return a + (b - a) * (share if self.linear else (1 - math.cos(math.pi * min(share, 1.0))) / 2)


class Chain(_Settings):
    """One schedule after the other, each from 0 to 1; the next takes over at a border (SequentialLR).

    schedules: functions of progress. borders: one fewer, in ascending order, where each but the first begins.
    Raises ValueError for borders that do not fit, TypeError for what is not a function.
    """

    def __init__(self, schedules: tuple[Schedule, ...], borders: tuple[float, ...]) -> None:
        schedules = _several("Chain", "schedules", schedules)
        for i, schedule in enumerate(schedules):
            instance("Chain", f"schedules[{i}]", schedule, Callable, "a function")
        wanted, borders = len(schedules) - 1, _rising("Chain", "borders", borders)
        if len(borders) != wanted:
            raise ValueError(f"Chain: {wanted + 1} schedules have {wanted} borders, got {len(borders)}")
        super().__init__(schedules=schedules, borders=borders)

    def __call__(self, progress: float) -> float:
        i = bisect_right(self.borders, progress + SLACK)
        start, end = (0.0, *self.borders, 1.0)[i:i + 2]
        return self.schedules[i](max(progress - start, 0.0) / (end - start))


def WarmUp(then: Schedule, until: float = 0.1, start: float = 0.0) -> Chain:
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
