"""Gradients through rounding: a grid has no slope to follow, so they go straight through to the real number.

Forward is `target`, backward is that of the identity (Bengio, Léonard & Courville 2013); or, where a grid
ends, that of clipping to its range (Krishnamoorthi 2018, §2.4). Other gradients are a file of this folder
each, which enters them in GRADIENTS."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nn.rules.choices import only
from nn.rules.record import CONSTANT, Rule
from nn.tensor import Tensor, apply, shared

STRAIGHT_THROUGH = Rule("straight_through", "y = target;  dw = g, as if y were w",
                        lambda w, target: (target, None), lambda g, saved, needs: (g, None),
                        samples=lambda rng: [([rng.normal(size=(3, 4)), rng.normal(size=(3, 4))], {})],
                        surrogate=lambda w, target: lambda w, target: w)

CLIPPED_STRAIGHT_THROUGH = Rule(
    "clipped_straight_through", "out = target;  dy = g where low <= y <= high, else 0",
    lambda y, target, *, low, high: (target, ((y >= low) & (y <= high),)),
    lambda g, saved, needs: (only(g, saved[0]), None),
    samples=lambda rng: [([rng.normal(size=(3, 4)), rng.normal(size=(3, 4))], {"low": -0.8, "high": 1.1})],
    surrogate=lambda y, target, low, high: lambda y, target: np.clip(y, low, high), saves=CONSTANT,
    fresh=True)


def straight_through(x: Tensor, target: np.ndarray, length: Any,
                     ends: tuple[float, float] | None = None) -> Tensor:
    """`target`, with the gradient of x; between the `ends` of its grid, if it has any."""
    if ends is None:
        return apply(STRAIGHT_THROUGH, x, shared(target))
    return apply(CLIPPED_STRAIGHT_THROUGH, x, shared(target), low=ends[0], high=ends[1])


USUAL_GRADIENT = "straight-through"

# By name the functions that give the reals x, a Tensor, the values `target` of their codes, and a gradient.
# length: from the real of the lowest code to that of the highest, a number or what broadcasts against x.
GRADIENTS: dict[str, Callable[..., Tensor]] = {USUAL_GRADIENT: straight_through}
