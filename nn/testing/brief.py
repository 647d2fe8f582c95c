"""A law asked in little time: once a case has failed, a smaller one is looked for during seconds only."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable

from hypothesis import strategies as st

from .case import Case, for_all
from .simpler import simplest


def for_all_briefly(cases: st.SearchStrategy[Case], test: Callable[[Case], None], examples: int,
                    seconds: float, valid: Callable[[Case], object] | None = None) -> None:
    """As `for_all`, but for `seconds` of looking for a smaller case; with 0 the first one that fails is told.

    After that every case passes but those that have failed, so that Hypothesis comes to an end. With `valid`,
    which raises ValueError for what is no call, simpler ways to make that call are tried for half as long.

    Raises:
        AssertionError: as `for_all`.
    """
    failed: set[bytes] = set()
    until = float("inf")

    def tried(case: Case) -> None:
        nonlocal until
        drawn = pickle.dumps(case)
        if time.monotonic() > until and drawn not in failed:
            return
        try:
            test(case)
        except Exception:
            failed.add(drawn)
            until = min(until, time.monotonic() + seconds)
            raise

    try:
        for_all(cases, tried, examples, shrink=seconds > 0)
    except AssertionError as error:
        if seconds and valid:
            raise simplest(error, test, valid, seconds / 2) from None
        raise
