"""Does a kernel write all of its result? The commonest mistake is a tail that nobody computes.

What `np.empty` gives looks like numbers and is seldom the same twice; often enough it is the right result of
the call before. So a function is called twice, and memory that is not set is filled with one byte the first
time and with another the second: what differs was never written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np

from .case import Case, for_all
from .laws import Implementation

FILLINGS = 0x3E, 0xBF    # small floats of either sign: nothing that a maximum or a NaN would hide


@contextmanager
def filled(byte: int) -> Iterator[None]:
    """Within, what numpy.empty and numpy.empty_like give is full of this byte. (Who imported them by name
    before has the real ones.)"""
    def filling(make):
        def made(*args, **options):
            array = make(*args, **options)
            if not array.dtype.hasobject:
                array[...] = np.full(array.itemsize, byte, np.uint8).view(array.dtype)[0]
            return array
        return made

    with mock.patch.object(np, "empty", filling(np.empty)), \
         mock.patch.object(np, "empty_like", filling(np.empty_like)):
        yield


def writes_all_of_its_result(f: Implementation, examples: int | None = None) -> None:
    """No entry of a result is what memory held before, in arrays that numpy.empty made.

    Raises:
        AssertionError: how many entries were not written, the first of them, and the smallest case found.
    """
    for_all(f.domain.cases(), lambda case: writes_all(f, case), examples)


def writes_all(f: Implementation, case: Case) -> None:
    """Every entry of a result is written: none is what its memory held before, and none depends on that."""
    results = []
    for byte in FILLINGS:
        with filled(byte):
            got = f(case.on(*(a.copy() if isinstance(a, np.ndarray) else a for a in case.args)))
        results.append([np.array(y) for y in (got if isinstance(got, tuple) else (got,))])
    for first, second in zip(*results, strict=True):
        if first.shape == second.shape and first.tobytes() != second.tobytes():
            held = (np.ascontiguousarray(x).reshape(x.size).view(np.uint8).reshape(x.size, -1)
                    for x in (first, second))
            same = [np.all(x == byte, axis=1) for x, byte in zip(held, FILLINGS, strict=True)]
            unset = same[0] & same[1]
            if unset.any():
                at = ", ".join(map(str, np.unravel_index(np.argmax(unset), first.shape)))
                raise AssertionError(f"{unset.sum()} of {unset.size} entries of the result are never written "
                                     f"(they are what the memory held before), the first at [{at}]")
            raise AssertionError("the result depends on memory that was never written, or on something "
                                 "else beside the arguments")
