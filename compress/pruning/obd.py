"""Optimal brain damage: ½·h·w², h the curvature of the loss in a weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nn.arguments import count, is_int

from ..transform import Context
from .score import Score


@dataclass(frozen=True)
class OBD(Score, name="obd"):
    """½·h·w²: what the loss grows by, near a minimum, when a weight becomes 0 and no other moves (LeCun,
    Denker & Solla 1990, "Optimal brain damage", eq. 5).

    h: the diagonal of the Gauss–Newton matrix on prepare's example, the mean over its inputs of squares and
    not the square of a mean, which is 0 at a minimum; batch norm in evaluation mode. samples: None for that,
    which takes a pass back for each output of the network, or so many labels drawn from the model for each
    input (by `seed`), a pass back each (nn.curvature). Neither needs targets, unless prepare gets a loss.
    Raises TypeError or ValueError for other settings; in `prepare`, ValueError without an example."""

    samples: int | None = None
    seed: int = 0

    reads = True

    def __post_init__(self) -> None:
        if self.samples is not None:
            count("OBD", "samples", self.samples)
        if not is_int(self.seed) or self.seed < 0:
            raise ValueError(f"OBD: seed must be an int, 0 at least; got {self.seed!r}")

    def saliency(self, w: np.ndarray, context: Context) -> np.ndarray:
        if context.curvature is None:
            raise ValueError(f"OBD: {context.name} is scored by the curvature of the loss: give prepare an "
                             "example batch of inputs")
        return context.curvature(self.samples, self.seed) * np.square(w, dtype=np.float64) / 2
