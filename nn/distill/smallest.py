"""Shrink until just good enough: the smallest student within a margin, by bisection."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from ..arguments import instance, number


class Smallest(NamedTuple):
    """The `width` that was found, and the accuracy of each width that was tried."""

    width: float
    tried: dict[float, float]


def smallest(accuracy: Callable[[float], float], widths: Sequence[float], wanted: float) -> Smallest:
    """The smallest of `widths`, rising, with accuracy(width) >= wanted, after at most ⌈log₂ n⌉ + 1 of n.

        found = smallest(lambda width: held_out_accuracy(taught(width)), [1/16, 1/8, 1/4, 1/2], 0.96)

    accuracy: trains a student of that width and measures it on held-out data, which chooses; test images are
    for the one that is chosen. wanted: say, the teacher's accuracy less a margin. The accuracy should rise
    with the width. Where it does so only on average, what is found is good enough all the same, and the next
    smaller width was tried and is not, but one that is smaller still may be.
    Raises ValueError for no widths, and where the largest is not good enough either: it says how far it is
    off. TypeError for a `wanted`, a width or an accuracy that is no number (ValueError for NaN), and for an
    `accuracy` that is no function.
    """
    instance("smallest", "accuracy", accuracy, Callable, "a function of a width")
    instance("smallest", "widths", widths, Iterable, "a list of widths")
    widths, wanted = list(widths), number("smallest", "wanted", wanted, -float("inf"))
    for i, width in enumerate(widths):
        number("smallest", f"widths[{i}]", width, -float("inf"))
    if not widths or any(a >= b for a, b in pairwise(widths)):
        raise ValueError(f"smallest: widths must rise, and be one at least, got {widths}")
    tried: dict[float, float] = {}

    def enough(i: int) -> bool:
        if widths[i] not in tried:
            found, what = accuracy(widths[i]), f"accuracy({widths[i]:g})"
            tried[widths[i]] = number("smallest", what, found, -float("inf"))
        return tried[widths[i]] >= wanted

    if not enough(len(widths) - 1):
        raise ValueError(f"smallest: no student is good enough: the largest, of width {widths[-1]:g}, has "
                         f"{tried[widths[-1]]:.4g}, wanted {wanted:.4g}")
    return Smallest(widths[bisect_left(range(len(widths) - 1), True, key=enough)], tried)
