"""What every compression technique is: a Transform of one weight, with three faces.

    it trains       project(w)   the differentiable view of the weight that the layer uses while it trains
    it is stored    encode(w)    a Stored: fewer bytes, itemised, and decode() to get the weight back
    it multiplies   packed.linear(x): a kernel that never builds the dense weight

A transform is configuration only and never changes; what it finds out about one weight (a mask, a scale) is
that weight's State, so that one transform can serve many weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, runtime_checkable

import numpy as np

from nn.tensor import Tensor

from .stored import Stored

__all__ = ["Context", "Invariant", "Transform"]


class Invariant(Enum):
    """A property of a weight that one stage of a Chain makes and a later stage may destroy."""

    SUPPORT = "which weights are zero"
    LEVELS = "the few values that weights share"
    GRID = "multiples of a scale"
    RANK = "the rank"
    NM = "N of every M are non-zero"


@dataclass(frozen=True)
class Context:
    """What a transform may know of a weight beside its values: its state-dict name, the op that reads it, and
    the optimizer step at which the schedules of the stages before it end (`settled`); and whether one of
    these prunes, so that zeros are to stay zero (`pruned`).
    """

    name: str = "weight"
    op: str = "linear"
    settled: int = 0
    pruned: bool = False


@runtime_checkable
class Transform(Protocol):
    """The protocol of a technique. `w` is float32, shape (out, in) or (O, I, kH, kW); channels are the
    first axis.
    """

    keeps: frozenset[Invariant]
    makes: frozenset[Invariant]

    def fit(self, w: np.ndarray, context: Context) -> Any:
        """A State for this weight."""

    def project(self, w: Tensor, state: Any) -> Tensor:
        """The weight as it will be after encode and decode, differentiable in `w`."""

    def update(self, state: Any, w: Tensor, step: int) -> None:
        """After optimizer step number `step` (from 1): move schedules on and have `state` fit the weight as
        it is now, in place.
        """

    def rescaled(self, state: Any, factor: np.ndarray) -> Any:
        """The State that fits `w` when its output channels are multiplied by `factor` (O,): batch norm is
        folded so.
        """

    def encode(self, w: np.ndarray, state: Any) -> Stored:
        """The weight in its stored form: decode() of it equals project(w) bit for bit."""

    def bound(self, w: np.ndarray, state: Any) -> float | None:
        """An upper bound of ‖w − project(w)‖₂ from theory, for the weight that `state` was fitted to;
        None if none is known.
        """
