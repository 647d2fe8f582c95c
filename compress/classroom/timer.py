"""A limit to the seconds that a block in this process computes: what a student wrote may loop for ever."""

from __future__ import annotations

import linecache
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SECONDS = 3.0  # of the processor, for one call of a function of a student's


@contextmanager
def limited(seconds: float, error: Callable[[FrameType | None], BaseException]) -> Iterator[None]:
    """Within, what `error` gives of the frame that runs is raised after so many seconds of computing, and
    after each further one, where an `except:` has caught it. (Where the system has no such timer, and outside
    of the main thread, nothing is limited.)"""
    if not _works():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise error(frame)

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds, 1.0)
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


def line_of(frame: FrameType | None, file: str) -> str:
    """The innermost line of `file` that runs, "line 12, in scale: while True:"; "" where none does."""
    for inner, number in traceback.walk_stack(frame):
        if inner.f_code.co_filename == file:
            return f"line {number}, in {inner.f_code.co_name}: {linecache.getline(file, number).strip()}"
    return ""
