"""What a pattern is: which weights are pruned together.

    class Kernel(Pattern, name="kernel"):           # in a file of this folder: that is all
        def labels(self, shape):                    # K[f,c]
            return np.broadcast_to(np.arange(shape[0] * shape[1]).reshape(*shape[:2], 1, 1), shape)

It registers itself by being defined; `Prune(0.5, pattern="kernel")` then prunes by it."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import numpy as np

from nn.registration import register

from ..stored import complete
from ..transform import Invariant

PATTERNS: dict[str, type[Pattern]] = {}  # by name


class Pattern:
    """Groups of weights, numbered from 0, of which each is pruned as a whole.

    name: what it is called, a regular expression. What its groups () match are whole numbers, given to
    `__init__`: "(\\d+)x(\\d+)" makes Block(4, 1) of "4x1". A subclass writes `labels`; it is a frozen
    dataclass if it has settings. TypeError if one is missing, or another has its name."""

    name: ClassVar[str]
    dimensions: ClassVar[frozenset[int]] = frozenset({2, 3, 4})  # of the weights that it is for
    makes: ClassVar[frozenset[Invariant]] = frozenset({Invariant.SUPPORT})
    sparsity: float | None = None  # the one that it has, where it is not to be chosen
    last: ClassVar[bool] = False  # whether the last group stays where all should go; else that is refused

    def __init_subclass__(cls, *, name: str) -> None:
        cls.name = name
        complete(cls, Pattern, ("labels",))
        register(PATTERNS, name, cls, "the pattern")

    # What a subclass says ----------------------------------------------------------------------------

    def labels(self, shape: tuple[int, ...]) -> np.ndarray:
        """The group of each weight, whole numbers in the weight's shape; each from 0 to the last occurs."""

    def refuses(self, shape: tuple[int, ...]) -> str | None:
        """Why a weight of this shape has no such groups; None if it has."""
        if len(shape) in self.dimensions:
            return None
        kinds = " or ".join(str(n) for n in sorted(self.dimensions))
        return f"the pattern {self!r} is for weights of {kinds} dimensions; this one has shape {shape}"

    # What follows ------------------------------------------------------------------------------------

    def groups(self, shape: tuple[int, ...]) -> int:
        """How many there are."""
        return int(self.labels(shape).max()) + 1

    def sizes(self, shape: tuple[int, ...]) -> np.ndarray:
        """How many weights each group has (groups,): a saliency is divided by it where groups of several
        patterns or layers are ranked against each other, since the sum favours large ones."""
        return np.bincount(self.labels(shape).ravel())

    def collect(self, saliency: np.ndarray) -> np.ndarray:
        """The saliency of each group: the sum of its weights' (groups,)."""
        return np.bincount(self.labels(saliency.shape).ravel(), weights=saliency.ravel())

    def spread(self, kept: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The mask, float32 in this shape, in which the groups that are `kept` (groups,) are 1, others 0."""
        return kept.astype(np.float32)[self.labels(shape)]

    def count(self, shape: tuple[int, ...], sparsity: float) -> int:
        """How many groups are to be pruned: round(sparsity · groups). (Python's floats count exactly up to
        2⁵³; float32 does not beyond 2²⁴.)"""
        return round(sparsity * self.groups(shape))

    def choose(self, saliency: np.ndarray, count: int, before: np.ndarray | None = None) -> np.ndarray:
        """A mask without the `count` groups of least saliency; of equal ones the first are pruned. Those that
        the mask `before` prunes are pruned before others."""
        return self.spread(self.kept(self.ranked(saliency, before), count), saliency.shape)

    def ranked(self, saliency: np.ndarray, before: np.ndarray | None) -> np.ndarray:
        """The saliency of each group, −1 for those that the mask `before` prunes."""
        collected = self.collect(saliency)
        return collected if before is None else np.where(self.collect(before) == 0, -1, collected)

    def kept(self, ranked: np.ndarray, count: int) -> np.ndarray:
        """Which groups stay when the `count` lowest of these go, exactly as many: a stable order, since equal
        ones lie on either side of any threshold."""
        kept = np.ones(ranked.size, bool)
        kept[np.argsort(ranked, axis=None, kind="stable")[:count]] = False
        return kept

    def pruned(self, mask: np.ndarray) -> int:
        """How many groups a mask prunes."""
        return int(np.count_nonzero(self.collect(mask) == 0))

    def made(self, mask: np.ndarray) -> bool:
        """Whether a mask is of this pattern: 0 or 1 for each group."""
        return np.array_equal(self.spread(self.collect(mask) != 0, mask.shape), mask)

    def lost(self, squares: np.ndarray, mask: np.ndarray) -> float:
        """What the sum of `squares` (groups,) over those that `mask` prunes is at most, if they are the
        smallest: k of n have at most their share of the sum. A 0 counts neither as pruned nor as there."""
        there, kept = np.count_nonzero(squares), np.count_nonzero(self.collect(mask))
        return max(there - kept, 0) / max(there, 1) * float(squares.sum())

    def __repr__(self) -> str:
        return repr(self.name)


def pattern_named(pattern: Any, who: str = "Prune") -> Pattern:
    """The Pattern of this name; a Pattern is itself. Raises ValueError, beginning with `who` and naming those
    that there are, where there is none."""
    if isinstance(pattern, Pattern):
        return pattern
    for name, kind in PATTERNS.items():
        if isinstance(pattern, str) and (found := re.fullmatch(name, pattern)):
            return kind(*map(int, found.groups()))
    known = ", ".join(name.replace(r"(\d+)", "N") for name in PATTERNS)
    raise ValueError(f"{who}: pattern must be a Pattern or one of {known}; got {pattern!r:.80}")
