"""First-order Taylor: |g·w|, g the slope of the loss in a weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..transform import Context
from .score import Score


@dataclass(frozen=True, repr=False)
class Taylor(Score, name="taylor"):
    """The mean of |g·w| over the examples: what each one's loss changes by, to first order, when the weight
    becomes 0 (Molchanov et al. 2017, "Pruning convolutional neural networks for resource efficient
    inference", eq. 6, which does so for activations; 2019, "Importance estimation for neural network
    pruning", for weights, whose group has the sum of its weights' importances, eq. 9).

    Of each example by itself: where training has ended their slopes add up to 0. In `prepare`, ValueError
    without an example and the `targets` of its inputs."""

    reads = True

    def saliency(self, w: np.ndarray, context: Context) -> np.ndarray:
        if context.gradients is None:
            raise ValueError(f"Taylor: {context.name} is scored by the gradient of the loss: give prepare an "
                             "example batch of inputs and their targets=")
        total, examples = np.zeros(w.shape), 0
        for some in context.gradients():
            total += np.abs(some).sum(axis=0, dtype=np.float64)
            examples += len(some)
        return total / examples * np.abs(w)
