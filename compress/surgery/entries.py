"""Entries that go together: union–find over the places along the axes of a network's arrays.

Each place along each axis of each value of a Graph is an entry. Entries that an operation ties to each other
are joined, and what can't be removed is kept: then its whole set is, and `why` says for what reason."""

from collections.abc import Iterable

import numpy as np


class Entries:
    """Disjoint sets of entries, which are numbers from 0 on. kept: of the root of a set, why it stays."""

    def __init__(self) -> None:
        self.parents: list[int] = []
        self.kept: dict[int, str] = {}

    def new(self, count: int) -> np.ndarray:
        """So many entries, each of them alone in its set."""
        first = len(self.parents)
        self.parents.extend(range(first, first + count))
        return np.arange(first, first + count)

    def root(self, entry: int) -> int:
        """The entry that stands for the set of this one."""
        parents = self.parents
        while parents[entry] != entry:
            parents[entry] = entry = parents[parents[entry]]  # the path is halved on the way
        return entry

    def join(self, some: Iterable[int], others: Iterable[int]) -> None:
        """Entry by entry, the set of the one and that of the other become one."""
        for a, b in zip(map(int, some), map(int, others), strict=True):
            a, b = sorted((self.root(a), self.root(b)))
            if a != b:
                self.parents[b] = a
                why = self.kept.pop(b, None)
                if why is not None:
                    self.kept.setdefault(a, why)

    def keep(self, some: Iterable[int], why: str) -> None:
        """The sets of these entries stay; the first reason counts."""
        for entry in map(int, some):
            self.kept.setdefault(self.root(entry), why)

    def why(self, entry: int) -> str | None:
        """Why an entry can't be removed; None if it can."""
        return self.kept.get(self.root(entry))

    def all_kept(self, some: Iterable[int]) -> bool:
        """Whether none of these entries can be removed."""
        return all(self.why(int(entry)) is not None for entry in some)
