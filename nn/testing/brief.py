"""A law asked in little time: once a case has failed, a smaller one is looked for during seconds only."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable

from hypothesis import strategies as st

from .case import Case, for_all


def for_all_briefly(cases: st.SearchStrategy[Case], test: Callable[[Case], None], examples: int,
                    seconds: float) -> None:
    """As `for_all`, but for `seconds` of looking for a smaller case; with 0 the first one that fails is told.

    After that every case passes but those that have failed, so that Hypothesis comes to an end.

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

    for_all(cases, tried, examples, shrink=seconds > 0)
