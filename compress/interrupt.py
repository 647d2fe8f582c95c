"""Ctrl-C and SIGTERM end the command at once and in a line or two, whatever it is doing.

The handler itself ends the process. An exception would have to find its way out through code that swallows or
changes it (a module half imported, a destructor, a thread waited for); a second would meet its clean-up."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

SIGNALS = (signal.SIGINT, signal.SIGTERM)

_acts: list[Callable[[], str | None]] = []


def answer() -> None:
    """From now on these signals end the process, with 128 and the signal's number as its exit code."""
    for one in SIGNALS:
        if signal.getsignal(one) is not signal.SIG_IGN:  # as `nohup` and shells without job control set it
            signal.signal(one, _end)


@contextmanager
def on_interrupt(act: Callable[[], str | None]) -> Iterator[None]:
    """While the block runs, an interrupt first calls `act`, which may return what to tell the user.

    The last act comes first. They run between two instructions of other code, and may not wait for it."""
    _acts.append(act)
    try:
        yield
    finally:
        _acts.remove(act)


def _end(number: int, frame: object) -> None:
    for one in SIGNALS:
        signal.signal(one, signal.SIG_IGN)
    said = []
    for act in reversed(_acts):
        with suppress(Exception):
            said.append(act())
    with suppress(OSError):  # sys.stderr may be in the middle of something
        start = "\n" if os.isatty(2) else ""  # a terminal has written ^C, or has a bar there
        os.write(2, f"{start}{': '.join(['espalier: interrupted', *filter(None, said)])}\n".encode())
    os._exit(128 + number)
