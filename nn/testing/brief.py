"""Laws asked in little time, of what somebody has just written and is waiting for.

The first law that is broken gets a small case, looked for during seconds only; of the others it is only said
whether they are broken too.
"""

from __future__ import annotations

import inspect
import pickle
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from typing import Any

from hypothesis import strategies as st

from .case import Case, for_all
from .check import Report
from .simpler import simplest

SHRINKING, OTHERS = 2.0, 1.0    # seconds for a smaller case, and for all the other laws


def check_briefly(report: Report, f: Any, laws: dict[str, Callable], examples: int,
                  holds: Callable[[Callable, int, float], None], alone: Collection[str] = ()) -> None:
    """Ask the laws of `f`, by name, one after the other, and write into the report how it went.

    holds(law, examples, seconds) runs one, as `for_all_briefly`. alone: names of laws behind which, where one
    is broken, no other means anything."""
    rest = dict(laws)
    for name, law in laws.items():
        del rest[name]
        if not report.run(name, f, partial(holds, law, examples, SHRINKING)):
            break
    else:
        return
    until = time.monotonic() + OTHERS
    for other, more in rest.items() if name not in alone else ():
        if time.monotonic() > until:
            break
        try:
            holds(more, 3, 0)
        except AssertionError:
            report.others.append(other)
    says = [f"the law: {' '.join(inspect.cleandoc(law.__doc__ or '').split())}"]
    says += [f"broken too: {', '.join(report.others)}"] if report.others else []
    broken = report.failures.pop()
    report.failures.append(replace(broken, message="\n".join([broken.message, *says])))


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
