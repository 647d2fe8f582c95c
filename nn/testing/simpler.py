"""A case that fails, said with fewer words: windows without strides, paddings and dilations, small numbers.

Sizes are made smaller by Hypothesis. How windows lie follows from a seed in many domains, which it can't make
smaller; so that is tried afterwards, one thing at a time.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator

import numpy as np

from .case import Case, said

USUAL = {"dilation": 1, "stride": 1, "padding": 0}    # windows that touch each other's pixels, and no edge


def simpler(case: Case) -> Iterator[Case]:
    """The same call with one thing made usual, or nearer to that; it need not be a valid one."""
    for name, usual in USUAL.items():
        pair = case.options.get(name)
        for axis in range(len(pair)) if isinstance(pair, tuple) else ():
            for less in range(usual, pair[axis]):
                yield case.on(*case.args, **{name: (*pair[:axis], less, *pair[axis + 1:])})
    for name, plain in (("relu", False), ("bias", None)):
        if case.options.get(name) is not None and case.options[name] is not plain:
            yield case.on(*case.args, **{name: plain})
    if "stride" in case.options or (not case.options and len(case.args) > 1):    # any numbers will do
        for i, array in enumerate(case.args):
            small = (np.arange(array.size).reshape(array.shape) % 5 + 1).astype(array.dtype)
            if array.dtype == np.float32 and not np.array_equal(array, small):
                yield case.on(*case.args[:i], small, *case.args[i + 1:])


def simplest(error: AssertionError, test: Callable[[Case], None], valid: Callable[[Case], object],
             seconds: float) -> AssertionError:
    """What a test raises for a case that nothing makes simpler, looked for during so many seconds from the
    error's on. valid: raises ValueError for what is no call."""
    case, until = getattr(error, "case", None), time.monotonic() + seconds
    candidates = simpler(case) if case else iter(())
    while (one := next(candidates, None)) is not None and time.monotonic() < until:
        drawn = pickle.dumps(one)
        try:
            valid(one)
            test(one)
        except ValueError:
            continue
        except AssertionError as found:
            case = pickle.loads(drawn)
            error, candidates = AssertionError(said(found, drawn)), simpler(case)
    return error
