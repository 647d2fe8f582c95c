"""What every layer asks of its sizes and inputs."""

from __future__ import annotations

import numpy as np

from nn.module import Module
from nn.tensor import Tensor

Sizes = int | tuple[int, ...]


def positive(module: Module, **sizes: int) -> None:
    """Check that sizes are whole numbers of at least 1."""
    for name, size in sizes.items():
        if not isinstance(size, (int, np.integer)) or size < 1:
            raise ValueError(f"{type(module).__name__}: {name} must be a whole number >= 1, got {size!r}")


def sizes(module: Module, name: str, value: Sizes, least: int, axes: int = 2) -> tuple[int, ...]:
    """One number for each axis of an image or a signal, given as such, or as one for all."""
    numbers = tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes
    if len(numbers) != axes or not all(isinstance(n, (int, np.integer)) and n >= least for n in numbers):
        who = f"{type(module).__name__}: {name}"
        wanted = "a whole number" if axes == 1 else "one or two whole numbers"
        raise ValueError(f"{who} must be {wanted} >= {least}, got {value!r}")
    return numbers


def shape_of(module: Module, x: Tensor) -> tuple[int, ...]:
    """The shape of an input, found to be one."""
    if not isinstance(x, (Tensor, np.ndarray)):
        raise TypeError(f"{module!r}: wanted a Tensor or an array, got {type(x).__name__}")
    return x.shape


def wrong_input(module: Module, x: Tensor, wanted: str) -> ValueError:
    """The error of an input whose shape does not fit."""
    return ValueError(f"{module!r}: wanted an input of shape {wanted}, got {tuple(x.shape)}")
