"""Rows and columns of a weight's matrix (out, in): an output, or an input, of the layer."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from ..stored import from_matrix
from .pattern import Pattern


@dataclass(frozen=True, repr=False)
class Row(Pattern, name="row"):
    """All that makes one output: W[o, :] of a linear layer, K[f] of a convolution."""

    def labels(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.broadcast_to(np.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 1)), shape)

    def groups(self, shape: tuple[int, ...]) -> int:
        return shape[0]


@dataclass(frozen=True, repr=False)
class Column(Pattern, name="column"):
    """All that one number of the input meets: W[:, i] of a linear layer, K[:,c,h,w] of a convolution."""

    def labels(self, shape: tuple[int, ...]) -> np.ndarray:
        width = prod(shape[1:])
        return from_matrix(np.broadcast_to(np.arange(width), (shape[0], width)), shape)

    def groups(self, shape: tuple[int, ...]) -> int:
        return prod(shape[1:])
