"""The smallest call of a kernel that packs an operand: a row of four numbers times a 4×4 matrix."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

A, B = np.ones((1, 4), np.float32), np.ones((4, 4), np.float32)
A8, B8 = A.astype(np.uint8), B.astype(np.int8)
PIXEL, PIXEL8 = A.reshape(1, 1, 1, 4), A8.reshape(1, 1, 1, 4)  # of four channels


class Call(NamedTuple):
    """A statement, and what it names: `a`; `weight`, which `pack` makes `b` of; and `more`."""

    statement: str
    a: np.ndarray
    weight: tuple
    more: Mapping[str, np.ndarray] = MappingProxyType({})
