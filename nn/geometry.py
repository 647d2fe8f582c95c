"""The geometry of windows that slide over images: sizes, strides, paddings and dilations, and what they meet.

Everything that has windows asks here: kernels, rules, functions, layers, and the lowering of a network.
Dimensions come in pairs, (vertical, horizontal).
"""

from __future__ import annotations

from typing import Any

import numpy as np

LARGEST = 2**31 - 1   # of a size, a stride, a padding, a dilation
Pair = tuple[int, int]


def several(who: str, name: str, value: Any, least: int, count: int = 2) -> tuple[int, ...]:
    """An integer for each of `count` axes, from one for all or from a tuple or list of them.

    Raises TypeError for anything else, ValueError for one that is not in least..LARGEST: naming `who`, `name`
    and what came.
    """
    each = tuple(value) if isinstance(value, (tuple, list)) else (value,) * count
    for n in each:
        if type(n) is not int or not least <= n <= LARGEST:
            break
    else:
        if len(each) == count:
            return each
    wanted = "an int" if count == 1 else f"an int or {'a pair' if count == 2 else count} of ints"
    if len(each) != count:
        raise TypeError(f"{who}: {name} is {value!r}, wanted {wanted}")
    for n in each:
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
            raise TypeError(f"{who}: {name} is {value!r}, wanted {wanted}, not {type(n).__name__}")
    each = tuple(map(int, each))
    if min(each) < least:
        raise ValueError(f"{who}: {name} is {value!r}, wanted at least {least}")
    if max(each) > LARGEST:
        raise ValueError(f"{who}: {name} is {value!r}, which is too large; wanted at most {LARGEST}")
    return each


def pair(who: str, name: str, value: Any, least: int) -> Pair:
    """(vertical, horizontal) from an integer or two of them; raises as `several`."""
    return several(who, name, value, least, 2)


def both(value: int | Pair) -> Pair:
    """3 → (3, 3); a pair as it is: of what has been checked."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value, value)


def positions(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """How many positions a window has along one axis: ⌊(size + 2p − d·(kernel − 1) − 1)/stride⌋ + 1."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def met(tap: int, count: int, stride: int, dilation: int = 1) -> slice:
    """The pixels of a padded image, along one axis, that `count` positions meet at one tap of a window."""
    return slice(tap * dilation, tap * dilation + stride * (count - 1) + 1, stride)
