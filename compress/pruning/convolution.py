"""Structures of a convolution's weight K (O, I, kH, kW) that can be removed: what is left is a smaller
convolution, or a product of smaller matrices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .matrix import Column, Row
from .pattern import Pattern

CONVOLUTIONS = frozenset({3, 4})  # dimensions of their weights


@dataclass(frozen=True, repr=False)
class Filter(Row, name="filter"):
    """K[f]: one output channel (Li et al. 2017)."""

    dimensions = CONVOLUTIONS


@dataclass(frozen=True, repr=False)
class Channel(Pattern, name="channel"):
    """K[:,c]: one input channel in all filters (He, Zhang & Sun 2017)."""

    dimensions = CONVOLUTIONS

    def labels(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.broadcast_to(np.arange(shape[1]).reshape(-1, *[1] * (len(shape) - 2)), shape)

    def groups(self, shape: tuple[int, ...]) -> int:
        return shape[1]


@dataclass(frozen=True, repr=False)
class Shape(Column, name="shape"):
    """K[:,c,h,w]: one position in all filters, a column of the im2col matrix (Wen et al. 2016, "Learning
    structured sparsity in deep neural networks", shape-wise)."""

    dimensions = CONVOLUTIONS
