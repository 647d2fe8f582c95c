"""Which recipes nothing beats, and what a recipe of several parts should give if its parts add up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from .goal import Outcome, Recipe

Parts = tuple[str, ...]  # the techniques of a recipe by name; none: the float network


def combinations(axes: Sequence[Sequence[str]]) -> Iterator[Parts]:
    """Every recipe of at most one part of each axis, and of at least one."""
    for chosen in product(*((None, *axis) for axis in axes)):
        parts = tuple(part for part in chosen if part is not None)
        if parts:
            yield parts


def pareto_front(outcomes: Mapping[Recipe, Outcome], cost: str = "nbytes") -> list[Recipe]:
    """Those that no other beats, from the cheapest to the most accurate: none takes as little or less and is
    as accurate or more, but for equals. outcomes: of each recipe. cost: "nbytes" or "milliseconds". Raises
    ValueError for another, and for milliseconds of an outcome that was not timed."""
    if cost not in ("nbytes", "milliseconds"):
        raise ValueError(f'pareto_front: cost must be "nbytes" or "milliseconds", got {cost!r}')
    if cost == "milliseconds" and any(one.milliseconds is None for one in outcomes.values()):
        raise ValueError("pareto_front: cost is milliseconds, but an outcome was not timed")
    at = {one: (getattr(outcome, cost), -outcome.points) for one, outcome in outcomes.items()}
    found: list[Recipe] = []
    for one in sorted(at, key=at.__getitem__):
        if not found or at[one][1] < at[found[-1]][1] or at[one] == at[found[-1]]:
            found.append(one)
    return found


def additive(parts: Parts, outcomes: Mapping[Parts, Outcome]) -> Outcome | None:
    """What a recipe gives if its `parts` add up: it loses the points that each of them loses alone, and is as
    many times smaller as all of them together: log(bytes) adds. outcomes: of recipes, by their parts. None
    where one of the parts, or the float network `()`, was not measured alone. (Times do not add: two
    techniques have one kernel.)"""
    alone = [outcomes.get((part,)) for part in parts]
    base = outcomes.get(())
    if base is None or None in alone:
        return None
    points, nbytes = base.points, base.nbytes
    for one in alone:
        points += one.points - base.points
        nbytes *= one.nbytes / base.nbytes
    return Outcome(points, nbytes)
