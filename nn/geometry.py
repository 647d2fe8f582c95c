"""The geometry of windows that slide over images: sizes, strides, paddings and dilations, and what they meet.

Everything that has windows asks here: kernels, rules, functions, layers, and the lowering of a network.
Dimensions come in pairs, (vertical, horizontal).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

LARGEST = 2**31 - 1  # of a size, a stride, a padding, a dilation
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
    """3 → (3, 3); a pair as it is: of what has been checked. Python's integers, which don't overflow."""
    down, across = value if isinstance(value, (tuple, list)) else (value, value)
    return int(down), int(across)


def positions(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """How many positions a window has along one axis: ⌊(size + 2p − d·(kernel − 1) − 1)/stride⌋ + 1."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


@lru_cache(maxsize=256)
def met(kernel: int, count: int, stride: int, dilation: int = 1) -> tuple[slice, ...]:
    """The pixels of a padded image, along one axis, that `count` positions meet at each tap of a window."""
    reach = stride * (count - 1) + 1
    return tuple(slice(first, first + reach, stride) for first in range(0, kernel * dilation, dilation))


def met_by_tap(kernel: Pair, counts: Pair, stride: Pair, dilation: Pair = (1, 1)
               ) -> list[tuple[int, int, slice, slice]]:
    """For each tap (a, b) of windows, in reading order: a, b, and the rows and the columns of padded images
    that so many positions meet there."""
    rows, columns = map(met, kernel, counts, stride, dilation)
    return [(a, b, down, across) for a, down in enumerate(rows) for b, across in enumerate(columns)]


class Windows:
    """Windows of `kernel` pixels that slide over images of `size` pixels, as `how` says: stride, padding and
    dilation. There are `out` = ⌊(size + 2·padding − span)/stride⌋ + 1 on each axis; one spans
    dilation·(kernel − 1) + 1.

    shape: of the images, for the message; (N, C, H, W), unless `size` is given. w: the shape of filters whose
    windows these are. Raises as `several`, and ValueError for images smaller than a window.
    """

    def __init__(self, who: str, shape: tuple, kernel: Any, stride: Any, padding: Any, dilation: Any = 1,
                 size: Pair | None = None, w: tuple | None = None) -> None:
        self.size = size = shape[2:] if size is None else size
        self.kernel = kernel = pair(who, "kernel_size", kernel, 1)
        self.stride, self.padding = pair(who, "stride", stride, 1), pair(who, "padding", padding, 0)
        self.dilation = pair(who, "dilation", dilation, 1)
        self.how = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}
        self.out = tuple(map(positions, size, kernel, self.stride, self.padding, self.dilation))
        if min(self.out) < 1:
            window = f"kernel_size {kernel}" if w is None else f"w, of shape {w},"
            raise ValueError(f"{who}: x of shape {shape} with padding {self.padding} is smaller than a "
                             f"window of {window} and dilation {self.dilation}")

    def __repr__(self) -> str:
        return f"Windows({self.kernel}, stride={self.stride}, padding={self.padding})"
