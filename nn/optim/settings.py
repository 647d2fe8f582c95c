"""The checks of numbers that optimizers, clipping, averages and schedules are given."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arguments import is_number


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
