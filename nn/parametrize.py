"""Parametrization: what may stand between a weight and its layer while the network trains."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from .tensor import Tensor


class Parametrization(Protocol):
    """What stands between a weight and its layer while it is compressed in training.

    A parametrization may compute the weight from other Parameters, which train in its place. The weight's
    array is read-only then: what is written there would be lost. The parametrization itself sets it by
    `Parameter.computed`. Each `parameter` here is the weight, an nn.Parameter.
    """

    def project(self, parameter: Tensor) -> Tensor:
        """The weight as the layer sees it."""

    def trainables(self, parameter: Tensor) -> list[Tensor]:
        """What an optimizer trains in the weight's place: often the weight itself.

        Where that changes as the training goes on, all of them, and `active(parameter)`, which a
        parametrization may have, names those that the layer sees now.
        """

    def update(self, parameter: Tensor, step: int) -> None:
        """Called after optimizer step number `step` (from 1): schedules, masks, moving averages."""

    def state_arrays(self) -> dict[str, np.ndarray]:
        """Copies of all that the parametrization knows, by name: a part of the model's state."""

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from `state_arrays()`; ValueError where they do not fit."""
