"""What can become of a call into a hand-in, beside a value.

A hand-in that raises has failed the property on this example: `Failure` is an AssertionError, so that a
property may catch it where raising is what it asks for (`failure.kind` is the exception's name). A hand-in
that crashed, ran out of time or broke the connection can't be asked again: `Stop` is no Exception, and ends
the property whatever that catches."""

from __future__ import annotations

import linecache
import traceback
from types import TracebackType

MOST = 6  # lines of a student's traceback that are shown: the last ones
LONGEST = 2000  # characters of a message
INDENT = "\n    "  # before a line of a message that explains the first


class Failure(AssertionError):
    """A function of the hand-in raised, or returned what is no plain value. kind: the exception's name, as
    "ValueError"; "missing" for a function that is not there, "value" for what could not be returned."""

    def __init__(self, message: str, kind: str):
        super().__init__(message)
        self.kind = kind


class Missing(Failure, AttributeError):
    """A name that the hand-in does not define; an AttributeError too, so that `hasattr` can be asked."""

    def __init__(self, message: str):
        super().__init__(message, "missing")


class Stop(BaseException):
    """The hand-in can't go on: it crashed, used up its time, or left. The message is for the student."""


def clean(text: str, most: int = LONGEST) -> str:
    """A text as it may be shown: no control characters, no halves of letters, and not too long."""
    rest = len(text) - most
    text = "".join(c if c.isprintable() or c in "\n\t" else "·" for c in text[:most])
    return f"{text} … (and {rest:,} characters more)" if rest > 0 else text


def clean_line(text: str, most: int = 100) -> str:
    """The same for a name of a file or an exception: in one line."""
    return clean(text, most).translate({ord("\n"): "·", ord("\t"): "·"})


def raised(function: str, error: BaseException, file: str) -> Failure:
    """The failure for an exception that `function` raised; lines of the student's `file` are shown."""
    return described(function, type(error).__name__, str(error), lines_of(error.__traceback__, file))


def described(function: str, kind: str, text: str, lines: list[str]) -> Failure:
    """The same from its parts, as they come from another process."""
    kind = clean_line(kind)
    if kind == "NotImplementedError" and not text:
        return Failure(f"{function} is not written yet (it raises NotImplementedError)", kind)
    said = f"{kind}: {text}" if text else kind
    return Failure(INDENT.join([f"{function} raised {said}", *lines[-MOST:]]), kind)


def lines_of(trace: TracebackType | None, file: str) -> list[str]:
    """The lines of a traceback that lie in `file`: "line 12, in scale: return high / 0"."""
    found = []
    for frame in traceback.extract_tb(trace):
        if frame.filename == file:
            line = frame.line or linecache.getline(file, frame.lineno or 0).strip()
            found.append(f"line {frame.lineno}, in {frame.name}: {line}")
    return found
