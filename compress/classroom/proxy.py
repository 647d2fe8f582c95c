"""`student`, as properties see it: functions of a hand-in that take plain values and return plain values.

`InProcess` calls a module that is loaded here: what a student's own run does. All arguments and results are
packed and unpacked as on the way to another process (wire.py), so that a property finds the same."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import nullcontext
from types import FrameType, ModuleType
from typing import Any

from . import wire
from .failures import INDENT, Failure, Missing, Stop, raised
from .timer import limited, line_of, paused


class Student(ABC):
    """A hand-in: `student.f(x)` calls its function f; `student.MOST`, in capitals, is a constant.

    A function among the arguments is called back where the property is; what it raises as an AssertionError
    fails the property, also if the hand-in catches it. After a call, `student.f.changed` says which of its
    arguments the hand-in has written into: positions and names. Raises Failure where f raises, returns what
    is no plain value, or is not there."""

    file = "the hand-in"  # its name, for messages

    def __init__(self):
        self._functions: dict[str, Function] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name.isupper():
            return self.constant(name)
        return self._functions.setdefault(name, Function(self, name))

    def __repr__(self) -> str:
        return "student"

    def begin(self) -> None:  # noqa: B027
        """Before a property is checked. Raises Stop where the hand-in can't be asked anything."""

    def printed(self) -> str:
        """What the hand-in has printed since then, as far as that is kept."""
        return ""

    @abstractmethod
    def constant(self, name: str) -> Any:
        """The value that the hand-in has under this name. Raises Failure where it has none, or no plain
        one."""

    @abstractmethod
    def call(self, name: str, args: tuple, kwargs: dict) -> tuple[Any, tuple[int | str, ...]]:
        """What the function returns, and which of its arguments were changed."""

    def missing(self, name: str) -> Missing:
        """The failure for a name that the hand-in does not define."""
        return Missing(f"{self.file} has no {name}: it was renamed or removed, or the file is another")


class Function:
    """A function of a hand-in."""

    def __init__(self, student: Student, name: str):
        self.student, self.__name__ = student, name
        self.changed: tuple[int | str, ...] = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.changed = ()
        value, self.changed = self.student.call(self.__name__, args, kwargs)
        return value

    def __repr__(self) -> str:
        return f"student.{self.__name__}"


class InProcess(Student):
    """A hand-in that is a module of this process. seconds: of the processor, for a call; None: no limit."""

    def __init__(self, module: ModuleType, seconds: float | None = None):
        super().__init__()
        self._module, self._seconds = module, seconds
        self.file = (module.__file__ or "the hand-in").replace("\\", "/").rpartition("/")[2]

    def constant(self, name: str) -> Any:
        """As the base class says."""
        if not hasattr(self._module, name):
            raise self.missing(name)
        return returned(name, getattr(self._module, name))

    def call(self, name: str, args: tuple, kwargs: dict) -> tuple[Any, tuple[int | str, ...]]:
        """As the base class says."""
        if not callable(getattr(self._module, name, None)):
            raise no_function(name, getattr(self._module, name)) if hasattr(self._module, name) else (
                self.missing(name))
        functions: list[Callable] = []
        failed: list[AssertionError] = []

        def back(k: int) -> Callable:
            def function(*args: Any, **kwargs: Any) -> Any:
                try:
                    with paused() if self._seconds else nullcontext():
                        value = functions[k](*wire.unpack(wire.pack(args)), **wire.unpack(wire.pack(kwargs)))
                    start = len(functions)
                    sent = wire.pack(value, functions)
                    return wire.unpack(sent, back if len(functions) > start else None)
                except AssertionError as error:
                    failed.append(error)
                    raise

            return function

        sent = packed_arguments(args, kwargs, functions)
        mine = {key: wire.unpack(content, back) for key, (content, _) in sent.items()}
        named = {key: mine[key] for key in kwargs}
        file = self._module.__file__ or ""

        def endless(frame: FrameType | None) -> Stop:
            line = line_of(frame, file)
            return Stop(f"{name} was stopped after {self._seconds:g} seconds of computing: does a loop never "
                        f"end?{line and f'{INDENT}{line}'}")

        try:
            with limited(self._seconds, endless) if self._seconds else nullcontext():
                value = getattr(self._module, name)(*list(mine.values())[:len(args)], **named)
        except (KeyboardInterrupt, Stop):
            raise
        except BaseException as error:
            if failed:
                raise failed[0] from None
            raise raised(name, error, file) from error
        if failed:
            raise failed[0]
        return returned(name, value), changed(sent, mine)


def no_function(name: str, value: Any) -> Failure:
    """The failure for something else under the name of a function."""
    return Failure(f"{name} is no function: it is of type {type(value).__name__}", "missing")


def returned(name: str, value: Any) -> Any:
    """A copy of what a function returned. Raises Failure if it is no plain value."""
    try:
        return wire.unpack(wire.pack(value))
    except wire.WireError as error:
        raise Failure(f"{name} gives {error}", "value") from None


Sent = dict[int | str, tuple[bytes, int]]  # of each argument its bytes, and how many functions came before


def packed_arguments(args: tuple, kwargs: dict[str, Any], functions: list[Callable]) -> Sent:
    """The arguments of a call by position or name; functions among them are appended to `functions`."""
    sent: Sent = {}
    for key, value in {**dict(enumerate(args)), **kwargs}.items():
        before = len(functions)
        sent[key] = wire.pack(value, functions), before
    return sent


def changed(sent: Sent, now: dict[int | str, Any]) -> tuple[int | str, ...]:
    """Which arguments are no longer what was sent."""
    return tuple(key for key, value in now.items() if _packed(value, sent[key][1]) != sent[key][0])


def _packed(value: Any, before: int) -> bytes:
    try:
        return wire.pack(value, [abs] * before)  # so that functions get the numbers that they had
    except wire.WireError:  # something was put into it
        return b""
