"""Lengths that are not fixed: a Size is a sum of products of named dimensions, such as 4·N·S or S + 1.

A network is traced at several lengths of its named dimensions. Where a length moves with them, its Size is
the polynomial through the lengths seen, of degree 1 in each name. Its text is all there is to a Size.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np


class Size(str):
    """A length as a polynomial in named dimensions: Size("N"), Size("4·N·S"), Size("S + 1")."""

    __slots__ = ()
    __repr__ = str.__str__  # a shape prints as (N, 3, 8)

    @property
    def terms(self) -> list[list[str]]:
        """The factors of each term, numbers and names."""
        return [term.split("·") for term in self.replace(" - ", " + -1·").split(" + ")]

    def at(self, dims: Mapping[str, int]) -> int:
        """The length where the dimensions have these lengths. Raises KeyError for one that is missing."""
        return sum(math.prod(dims[f] if f.isidentifier() else int(f) for f in term) for term in self.terms)


def at(value: Any, dims: Mapping[str, int]) -> Any:
    """A length, a shape or an attribute, with a number for every Size in it."""
    if isinstance(value, Size):
        return value.at(dims)
    if isinstance(value, (tuple, list)):
        return type(value)(at(entry, dims) for entry in value)
    if isinstance(value, dict):
        return {name: at(entry, dims) for name, entry in value.items()}
    if isinstance(value, slice):
        return slice(*at((value.start, value.stop, value.step), dims))
    return value


def names_in(value: Any) -> set[str]:
    """The names of the dimensions that a length, a shape or an attribute depends on."""
    asked: dict[str, int] = defaultdict(int)
    at(value, asked)
    return set(asked)


def length_of(lengths: Sequence[int], points: Sequence[Mapping[str, int]]) -> int | Size | None:
    """The length that was lengths[i] where the dimensions were points[i], as a number or a Size; None if it
    is no polynomial of degree 1 in each of them."""
    if len(set(lengths)) == 1:
        return lengths[0]
    names = sorted(points[0])
    terms = [term for k in range(len(names), -1, -1) for term in combinations(names, k)]
    table = np.array([[math.prod(point[name] for name in term) for term in terms] for point in points])
    found = np.rint(np.linalg.lstsq(table, np.array(lengths), rcond=None)[0]).astype(np.int64)
    if (table @ found != lengths).any():
        return None
    text = " + ".join("·".join([str(k)] * (k != 1 or not term) + list(term))
                      for k, term in zip(found.tolist(), terms, strict=True) if k)
    return Size(text.replace(" + -1·", " - ").replace(" + -", " - "))
