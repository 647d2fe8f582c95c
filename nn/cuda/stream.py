"""Streams: what is asked of the device in one is done in that order; what two hold may run at once."""

from __future__ import annotations

from typing import Any

from ..context import Context, ambient, within
from .library import library
from .pending import flush, forget
from .pending import mark as mark_of


class Stream(within):
    """A queue of the device's work. `with stream:` puts the work of this thread there; by default it goes to
    the device's own queue, which waits for all others. Of what a stream is given, arrays that another wrote
    must be there: synchronize that one first. An array that one stream has made and another uses must live
    until that other has been synchronized: its memory goes to the next array of the stream that made it."""

    def __init__(self) -> None:
        super().__init__("stream", None)
        self.library = library()
        made = self.library.ffi.new("void **")
        self.library.call("nn_cuda_stream", made)
        self.pointer: Any = made[0]

    def value(self, context: Context) -> Stream:
        """This."""
        return self

    def synchronize(self) -> None:
        """Wait until all is done. Raises what went wrong on the way."""
        flush()
        self.library.call("nn_cuda_synchronize", self.pointer)

    def __del__(self) -> None:
        super().__del__()
        if made := vars(self).pop("pointer", None):
            forget(made)
            self.library.lib.nn_cuda_stream_release(made)


def current() -> Any:
    """The stream of this thread, as the library knows it."""
    stream = ambient.context.stream
    return library().ffi.NULL if stream is None else stream.pointer


def mark() -> tuple[int, int]:
    """How far the list of what is pending in this thread's stream has come: two that differ in the second
    number only are in one launch."""
    return mark_of(current())


def synchronize() -> None:
    """Wait until this thread's stream has done all. Raises what went wrong on the way."""
    flush()
    library().call("nn_cuda_synchronize", current())


class Event:
    """A mark in a stream, to measure between two: `start.record(); ...; stop.record(); start.until(stop)`."""

    def __init__(self) -> None:
        self.library = library()
        made = self.library.ffi.new("void **")
        self.library.call("nn_cuda_event", made)
        self.pointer: Any = made[0]

    def record(self) -> Event:
        """Set the mark behind all that this thread's stream has been given."""
        flush()
        self.library.call("nn_cuda_event_record", self.pointer, current())
        return self

    def until(self, later: Event) -> float:
        """Milliseconds on the device from this mark to a later one; waits for that."""
        found = self.library.ffi.new("float *")
        self.library.call("nn_cuda_event_milliseconds", found, self.pointer, later.pointer)
        return found[0]

    def __del__(self) -> None:
        if made := vars(self).pop("pointer", None):
            self.library.lib.nn_cuda_event_release(made)
