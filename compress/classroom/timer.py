"""A limit to the seconds that a call in this process computes: a student's own run may loop for ever."""

from __future__ import annotations

import linecache
import signal
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from .failures import Stop

SECONDS = 3.0  # of the processor, for one call


@contextmanager
def limited(what: str, seconds: float, file: str) -> Iterator[None]:
    """Within, Stop is raised after so many seconds of computing, and shows the line of `file` that ran.
    (Where the system has no such timer, and outside of the main thread, nothing is limited.)"""
    if not _works():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stop(f"{what} was stopped after {seconds:g} seconds of computing: does a loop never end?"
                   f"{_line(frame, file)}")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds, 1.0)  # again, where an `except:` has caught the first
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def paused() -> Iterator[None]:
    """Within, nothing counts: what is called back is not the student's."""
    if not _works():
        yield
        return
    left = signal.setitimer(signal.ITIMER_PROF, 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, *left)


def _works() -> bool:
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()


def _line(frame: FrameType | None, file: str) -> str:
    """The innermost line that lies in `file`."""
    for inner, number in traceback.walk_stack(frame):
        if inner.f_code.co_filename == file:
            line = linecache.getline(file, number).strip()
            return f"\n    line {number}, in {inner.f_code.co_name}: {line}"
    return ""
