"""Element-wise gradient scaling (Lee, Kim & Ham 2021, "Network Quantization with Element-wise Gradient
Scaling", eq. 5): a gradient that pushes a real towards the edge of its step is made larger, one that pushes
it back smaller, since the first is about to change its code and the second is not.

    dx = g · (1 + δ·sign(g)·(x − Q(x)))      x and Q(x) in units of the interval that the codes cover"""

from typing import Any

import numpy as np

from nn.rules.choices import only
from nn.rules.record import CONSTANT, Rule
from nn.tensor import Tensor, apply, shared

from .straight_through import GRADIENTS

DELTA = 0.2  # δ, the same for all layers; the paper can also follow the Hessian's trace with one for each


def _forward(x: np.ndarray, target: np.ndarray, *, length: Any, ends: Any, delta: float) -> tuple:
    inside = np.ones((), bool) if ends is None else (x >= ends[0]) & (x <= ends[1])
    return target, (inside, ((x - target) * (delta / length)).astype(x.dtype))


# The gradient is not linear in g, so it is the derivative of no function of x alone that could be its
# surrogate; for a fixed g it is that of Σ g·x + δ/2·|g|·(x − Q(x))²/length.
SCALED_STRAIGHT_THROUGH = Rule(
    "scaled_straight_through", "out = target;  dx = g + δ·|g|·(x − target)/length between the ends, else 0",
    _forward, lambda g, saved, needs: (only(g + abs(g) * saved[1], saved[0]), None), saves=CONSTANT,
    fresh=True)


def ewgs(x: Tensor, target: np.ndarray, length: Any, ends: tuple[float, float] | None = None) -> Tensor:
    """`target`, with the gradient of x scaled as above; between the `ends` of its grid, if it has any."""
    return apply(SCALED_STRAIGHT_THROUGH, x, shared(target), length=length, ends=ends, delta=DELTA)


GRADIENTS["ewgs"] = ewgs
