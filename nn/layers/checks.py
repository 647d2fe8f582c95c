"""Checks of the arguments and inputs of layers."""

from __future__ import annotations

import math

import numpy as np

from ..arguments import count, is_int, is_number
from ..geometry import several
from ..module import Module
from ..tensor import Tensor

Sizes = int | tuple[int, ...]


def positive(module: Module, **sizes: int) -> None:
    """Check that sizes are whole numbers of at least 1."""
    for name, size in sizes.items():
        count(type(module).__name__, name, size)


def sizes(module: Module, name: str, value: Sizes, least: int, axes: int = 2) -> tuple[int, ...]:
    """One number for each axis of an image or a signal, given as such, or as one for all."""
    try:
        return several(type(module).__name__, name, value, least, axes)
    except TypeError as error:  # of a setting of a layer whatever is wrong is a ValueError
        raise ValueError(str(error)) from None


def number(module: Module, name: str, value: float, low: float = -math.inf, high: float = math.inf, *,
           above: bool = False) -> float:
    """Check that a setting is a finite number from low (or, if `above`, beyond it) to high."""
    fits = is_number(value) and math.isfinite(value) and low <= value <= high
    if not fits or (above and value == low):
        wanted = f" {'>' if above else '>='} {low:g}" if math.isfinite(low) else ""
        wanted = f" in {low:g}..{high:g}" if math.isfinite(high) else wanted
        raise ValueError(f"{type(module).__name__}: {name} must be a number{wanted}, got {value!r}")
    return value


def integer(module: Module, name: str, value: int) -> int:
    """Check that a setting is an int."""
    if not is_int(value):
        raise TypeError(f"{type(module).__name__}: {name} must be an int, got {value!r}")
    return value


def flags(module: Module, **values: bool) -> dict[str, bool]:
    """Settings as bools, after a check that they are truth values (0 and 1 are)."""
    for name, value in values.items():
        if not isinstance(value, (bool, np.bool_)) and not (is_int(value) and value in (0, 1)):
            raise TypeError(f"{type(module).__name__}: {name} must be True or False, got {value!r}")
    return {name: bool(value) for name, value in values.items()}


def shape_of(module: Module, x: Tensor) -> tuple[int, ...]:
    """The shape of an input, after a check that it is a Tensor or an array."""
    if not isinstance(x, (Tensor, np.ndarray)):
        raise TypeError(f"{_name(module)}: wanted a Tensor or an array, got {type(x).__name__}")
    return x.shape


def wrong_input(module: Module, x: Tensor, wanted: str) -> ValueError:
    """The error of an input whose shape does not fit."""
    return ValueError(f"{_name(module)}: wanted an input of shape {wanted}, got {tuple(x.shape)}")


def _name(module: Module) -> str:
    """A layer as it prints, but one of several layers, whose tree would fill the screen, by its class."""
    return type(module).__name__ if any(True for _ in module.children()) else repr(module)
