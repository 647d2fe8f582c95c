"""What a recipe is to reach: at most so many bytes, or milliseconds, and at most so much accuracy lost."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from nn.arguments import number

Recipe = TypeVar("Recipe", bound=Hashable)


@dataclass(frozen=True)
class Outcome:
    """What a recipe gave on held-out data. points: accuracy, in points against the float network of equal
    training; nbytes: of its file; milliseconds: of a run, None where it was not timed. Raises TypeError for
    what is no number, ValueError for NaN and infinity, which have no place in an order, and for bytes or
    milliseconds that are not above 0."""

    points: float
    nbytes: float
    milliseconds: float | None = None

    def __post_init__(self) -> None:
        if number("Outcome", "points", self.points, -math.inf) == -math.inf:
            raise ValueError("Outcome: points must be finite, got -inf")
        number("Outcome", "nbytes", self.nbytes, above=True)
        if self.milliseconds is not None:
            number("Outcome", "milliseconds", self.milliseconds, above=True)


@dataclass(frozen=True)
class Goal:
    """At most `nbytes` and at most `milliseconds`, with at most `margin` points of accuracy lost.

    Each may be left out, but not all. Raises TypeError for what is no number, ValueError for limits that are
    not above 0, a margin below 0, and no goal at all."""

    nbytes: float | None = None
    milliseconds: float | None = None
    margin: float | None = None

    def __post_init__(self) -> None:
        given = {name: value for name, value in vars(self).items() if value is not None}
        if not given:
            raise ValueError("Goal: wants nbytes, milliseconds or margin; got none of them")
        for name, value in given.items():
            number("Goal", name, value, above=name != "margin")

    def excess(self, outcome: Outcome) -> float:
        """How many times its limit the outcome takes, of two limits the worse; 1 where it is within. Raises
        ValueError for an outcome that was not timed, where milliseconds are limited."""
        taken = [1.0]
        if self.nbytes is not None:
            taken.append(outcome.nbytes / self.nbytes)
        if self.milliseconds is not None:
            if outcome.milliseconds is None:
                raise ValueError("Goal: milliseconds are limited, but the outcome was not timed")
            taken.append(outcome.milliseconds / self.milliseconds)
        return max(taken)

    def shortfall(self, outcome: Outcome) -> float:
        """How many points more than the margin are lost; 0 where it is within, or where there is none."""
        return 0.0 if self.margin is None else max(-self.margin - outcome.points, 0.0)

    def reached(self, outcome: Outcome) -> bool:
        """Whether the outcome is all that is wanted."""
        return self.excess(outcome) <= 1 and self.shortfall(outcome) == 0

    def key(self, outcome: Outcome) -> tuple[float, ...]:
        """By which outcomes are sorted, the best first. Where bytes or milliseconds are limited, the most
        accurate of those within the limits, and behind them the others by what they take too much; else the
        smallest of those within the margin, and behind them the others by what they lose too much."""
        if self.nbytes is None and self.milliseconds is None:
            return self.shortfall(outcome), outcome.nbytes, -outcome.points
        return self.excess(outcome), -outcome.points, outcome.nbytes

    def nearest(self, outcomes: Mapping[Recipe, Outcome]) -> dict[Recipe, str]:
        """Of outcomes that all miss the goal, or not, the best by `key`, and with two things wanted also the
        one that is within the margin and takes least; each with what it misses, in words ("" for nothing)."""
        if not outcomes:
            return {}
        found = [min(outcomes, key=lambda one: self.key(outcomes[one]))]
        accurate = [one for one, outcome in outcomes.items() if self.shortfall(outcome) == 0]
        if self.margin is not None and accurate and not self.reached(outcomes[found[0]]):
            found.append(min(accurate, key=lambda one: (self.excess(outcomes[one]), self.key(outcomes[one]))))
        return {one: self._missed(outcomes[one]) for one in found}

    def _missed(self, outcome: Outcome) -> str:
        missed = []
        for name, unit in (("nbytes", "bytes"), ("milliseconds", "ms")):
            limit, got = getattr(self, name), getattr(outcome, name)
            if limit is not None and got > limit:
                missed.append(f"{got:,.6g} {unit} where {limit:,.6g} are wanted, {got / limit:.2f} times as "
                              "many")
        if self.shortfall(outcome):
            missed.append(f"{outcome.points:+.2f} points where {-self.margin:+.2f} is wanted, "
                          f"{self.shortfall(outcome):.2f} short")
        return "; ".join(missed)

    def __str__(self) -> str:
        parts = [f"at most {self.nbytes:,.6g} bytes"] if self.nbytes is not None else []
        parts += [f"at most {self.milliseconds:,.6g} ms"] if self.milliseconds is not None else []
        parts += [f"at most {self.margin:g} points lost"] if self.margin is not None else []
        return ", ".join(parts)
