"""When arrays were last written to, so that backward finds one that it needs and that has changed since.

An ndarray has no room for a version number, so the library keeps a log of its own writes: a clock that ticks
at each, and for each block of memory the time of its last write. An operation remembers the time at which it
was recorded. If the clock has not moved since, there is nothing to check.
"""

from __future__ import annotations

import weakref

import numpy as np

from .context import Brief


class _Clock:
    """`now` is the number of writes so far. Only this module moves it."""

    now = 0


clock = _Clock()
_written = {}  # id of the ndarray that owns the memory: (time, weak reference that clears the entry)
_lock = Brief()  # two threads that write must not read one time from the clock


def tick() -> int:
    """A moment of its own: what was recorded before has an earlier time, what comes after has not."""
    with _lock:
        clock.now += 1
        return clock.now


def wrote(array: np.ndarray) -> None:
    """Log that the values of `array` were changed in place: everything in nn that writes calls this."""
    memory = owner(array)
    key = id(memory)
    known = _written.get(key)  # of this very array: an entry disappears together with its array
    gone = known[1] if known else weakref.ref(memory, lambda _: _written.pop(key, None))
    with _lock:
        clock.now += 1
        _written[key] = clock.now, gone


def written(array: np.ndarray) -> int:
    """The time of the last write to the memory of `array`; 0 if there was none."""
    return _written.get(id(owner(array)), (0, None))[0]


def owner(array: np.ndarray) -> np.ndarray:
    """The array whose memory `array` is a view of."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
