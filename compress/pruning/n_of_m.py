"""N of every M weights stay, as sparse tensor cores want it (Mishra et al. 2021, "Accelerating sparse deep
neural networks": 2 of 4)."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from ..stored import as_matrix, from_matrix
from ..transform import Invariant
from .pattern import Pattern


@dataclass(frozen=True)
class NOfM(Pattern, name=r"(\d+):(\d+)"):
    """Of every `m` consecutive inputs of an output at most `n` have weights: "2:4". They run along the
    dimension that a product sums over: rows of the matrix (out, in), of a convolution in the order kH, kW, I,
    whose length M has to divide. The sparsity is 1 − N/M; a schedule prunes one more of every M at a time.
    Raises ValueError unless 0 < n < m."""

    n: int
    m: int

    makes = frozenset({Invariant.SUPPORT, Invariant.NM})

    def __post_init__(self) -> None:
        if not 0 < self.n < self.m:
            raise ValueError(f"Prune: N of every M weights stay, 0 < N < M; got {self!r}")

    @property
    def sparsity(self) -> float:
        """What is pruned in the end."""
        return 1 - self.n / self.m

    def refuses(self, shape: tuple[int, ...]) -> str | None:
        if (said := super().refuses(shape)) or not prod(shape[1:]) % self.m:
            return said
        return (f"the pattern {self!r} needs rows whose length {self.m} divides; a weight {shape} has rows "
                f"of {prod(shape[1:])}")

    def labels(self, shape: tuple[int, ...]) -> np.ndarray:
        """Each weight by itself, in the order of the matrix: what belongs together is `m` in a row."""
        return from_matrix(np.arange(prod(shape)).reshape(shape[0], -1), shape)

    def groups(self, shape: tuple[int, ...]) -> int:
        return prod(shape)

    def collect(self, saliency: np.ndarray) -> np.ndarray:
        return as_matrix(saliency).ravel()

    def spread(self, kept: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return from_matrix(kept.astype(np.float32).reshape(shape[0], -1), shape)

    def count(self, shape: tuple[int, ...], sparsity: float) -> int:
        """So many of every M that it is round(sparsity · M) of each."""
        return prod(shape) // self.m * round(sparsity * self.m)

    def kept(self, ranked: np.ndarray, count: int) -> np.ndarray:
        of_each = ranked.reshape(-1, self.m)
        kept = np.ones(of_each.shape, bool)
        lowest = np.argsort(of_each, axis=1, kind="stable")[:, :count // len(of_each)]
        np.put_along_axis(kept, lowest, False, axis=1)
        return kept.ravel()

    def made(self, mask: np.ndarray) -> bool:
        """Whether of every M it prunes as many."""
        each = np.count_nonzero(as_matrix(mask).reshape(-1, self.m), axis=1)
        return super().made(mask) and bool(np.all(each == each[0]))

    def lost(self, squares: np.ndarray, mask: np.ndarray) -> float:
        """Of every M the smallest have at most their share."""
        of_each = squares.reshape(-1, self.m)
        there = np.count_nonzero(of_each, axis=1)
        kept = np.count_nonzero(self.collect(mask).reshape(-1, self.m), axis=1)
        return float((np.maximum(there - kept, 0) / np.maximum(there, 1) * of_each.sum(axis=1)).sum())

    def __repr__(self) -> str:
        return f"'{self.n}:{self.m}'"
