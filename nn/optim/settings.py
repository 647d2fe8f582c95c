"""The checks of numbers that optimizers, clipping, averages and schedules are given."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arguments import is_number


def number(who: str, name: str, value: Any, low: float = 0.0, high: float = math.inf, *,
           above: bool = False, closed: bool = False) -> float:
    """`value` as a float in [low, high): without `low` if `above`, with `high` if `closed`.

    Raises: TypeError for what is not a number, ValueError for one outside, each naming `who` and `name`.
    """
    if not is_number(value):
        raise TypeError(f"{who}: {name} must be a number, got {value!r}")
    if not ((low < value if above else low <= value) and (value <= high if closed else value < high)):
        if high == math.inf:
            wanted = f"{'>' if above else '>='} {low:g}" + (" and finite" if not closed else "")
        else:
            wanted = f"in {'(' if above else '['}{low:g}, {high:g}{']' if closed else ')'}"
        raise ValueError(f"{who}: {name} must be {wanted}, got {value}")
    return float(value)


def numbers(who: str, name: str, values: Any, count: int, high: float) -> tuple[float, ...]:
    """`values` as a tuple of `count` floats in [0, high)."""
    if not isinstance(values, (tuple, list)) or len(values) != count:
        raise ValueError(f"{who}: {name} must be {_COUNTS[count]} numbers, got {values!r}")
    for value in values:
        if not is_number(value):
            raise TypeError(f"{who}: {name} must be numbers, got {value!r}")
        if not 0 <= value < high:
            raise ValueError(f"{who}: {name} must be {_COUNTS[count]} in [0, {high:g}), got {values}")
    return tuple(float(value) for value in values)


def several(who: str, name: str, values: Any) -> tuple:
    """`values` as a tuple; TypeError for what is neither a tuple nor a list."""
    try:
        return tuple(values)
    except TypeError:
        raise TypeError(f"{who}: {name} must be a tuple or a list, got {values!r}") from None


def flag(who: str, name: str, value: Any) -> bool:
    """`value` as a bool; TypeError for what is not a truth value."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{who}: {name} must be True or False, got {value!r}")
    return bool(value)


_COUNTS = {2: "two"}
