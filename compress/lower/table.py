"""The table of how each operation is lowered: a row an op. What no row takes runs its rule (rules.py).

A row says in which orders axes lie: axis layout[i] of a value is axis i of the array in which it lies."""

from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np

Layout = tuple[int, ...]
CHANNELS_LAST = (0, 2, 3, 1)  # of images N, C, H, W: how kernels want them


class Need(Enum):
    """What an operation does where its inputs are integers."""

    REALS = "it computes with reals"
    SAME = "it takes integers as they are, all on one grid, and what it makes is on that grid"
    OWN = "it takes integers on any grids, and what it makes has a grid of its own"
    INTEGERS = "it wants integers, and what it makes has a grid of its own, or is real"


class Lowers:
    """A row of the table. fuses: whether its calls compute a ReLU or another clip as well, where that alone
    reads the result. need: what its nodes do with integers."""

    fuses = False
    need = Need.REALS

    def takes(self, node: Any, known: Any) -> bool:
        """Whether it lowers this node; `known` tells what is known of the network (Known)."""
        return True

    def formats(self, node: Any, known: Any) -> Need:
        """What the node does with integers, where not its op alone says so; asked for all nodes first."""
        return self.need

    def emit(self, node: Any, lower: Any) -> None:
        """Tell `lower`, a Lowered, the calls that compute the node."""
        raise TypeError(f"{type(self).__name__} does not say how {node.op} is lowered")


TABLE: dict[str, Lowers] = {}


def lowers(*ops: str) -> Callable[[type[Lowers]], type[Lowers]]:
    """Enter a class in the table as the row of these operations."""
    def enter(row: type[Lowers]) -> type[Lowers]:
        TABLE.update(dict.fromkeys(ops, row()))
        return row
    return enter


def still(node: Any, known: Any) -> bool:
    """Whether a node makes float32 of images whose sides do not move: what a kernel takes."""
    _, *sides = known.graph.value(node.inputs[0]).shape
    return node.dtype == np.float32 and all(type(side) is int for side in sides)


def identity(rank: int) -> Layout:
    """The axes as the Graph has them."""
    return tuple(range(rank))


def moves_nothing(shape: tuple, axes: Layout) -> bool:
    """Whether a permute leaves all numbers where they lie: it moves axes of length 1 only."""
    long = [axis for axis in axes if shape[axis] != 1]
    return long == sorted(long)
