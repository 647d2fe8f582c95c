"""The child process of `espalier check-technique`: loads a file, and asks the laws of a class in it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING, Any

from compress import Transform

from ..classroom.timer import limited, line_of

if TYPE_CHECKING:
    from compress.testing import Law
    from nn.testing import Case

FIRST, KNOWN = 2.0, 0.5  # seconds of the processor, for one weight; and once one has taken as long


def main(file: str, name: str, examples: str) -> None:
    """Tell what is found, a line of JSON each, to what standard output was; what the file prints goes to
    standard error."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)

        def tell(**what: Any) -> None:
            print(json.dumps(what), file=out, flush=True)

        try:
            subjects = _subjects(_class(file, name))
        except BaseException as error:  # what ends a process, too
            tell(error=_why(error, file))
            return
        for subject in subjects:
            _Checker(subject, file, int(examples), tell).check()
        tell(done=True)


class _Wrong(Exception):
    """The file has no such thing."""


def _class(file: str, name: str) -> type[Transform]:
    """The class, of the module that the file is."""
    sys.path.insert(0, os.path.dirname(file))
    spec = importlib.util.spec_from_file_location(os.path.splitext(os.path.basename(file))[0], file)
    if spec is None or spec.loader is None:
        raise _Wrong("is no file of Python: its name should end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found = getattr(module, name, None)
    if isinstance(found, type) and issubclass(found, Transform) and found is not Transform:
        return found
    there = [one for one, value in vars(module).items() if isinstance(value, type)
             and issubclass(value, Transform) and value.__module__ == module.__name__]
    what = "there is no class" if found is None else "it is no subclass of compress.Transform:"
    raise _Wrong(f"{what} {name}; such classes are: {', '.join(there) or 'none'}")


def _subjects(technique: type[Transform]) -> list[Any]:
    """What the laws are asked of: the class's samples, or what it is without arguments."""
    from compress.testing import Subject

    try:
        subjects = [Subject.of(sample) for sample in technique.samples() or [technique()]]
        return [replace(one, name=re.sub(r"<[\w.]*?(\w+) object at 0x\w+>", r"\1()", one.name))
                for one in subjects]  # without a place in memory
    except TypeError as error:
        name = technique.__name__
        raise _Wrong(f"{name}() can't be made ({error}); give it a classmethod samples() that returns "
                     f"instances to check") from None


def _why(error: BaseException, file: str) -> str:
    """In a line or two, what went wrong while the file was loaded, and in which line of it."""
    if isinstance(error, _Wrong):
        return str(error)
    if isinstance(error, SyntaxError) and error.filename == file:
        return f"line {error.lineno} is no Python: {error.msg}"
    lines = [at.lineno for at in traceback.extract_tb(error.__traceback__) if at.filename == file]
    where = f" in line {lines[-1]}" if lines else ""
    if isinstance(error, SystemExit):
        return f"it ends the process{where} when it is imported; that belongs under `if __name__ == ...`"
    return f"{type(error).__name__}{where} when it is imported: {error}"


class _Checker:
    """Asks the laws of one subject, that of a class in `file`."""

    def __init__(self, subject: Any, file: str, examples: int, tell: Callable[..., None]) -> None:
        self.subject, self.file, self.examples, self.tell = subject, file, examples, tell
        self.seconds = FIRST

    def check(self) -> None:
        """Every law; the first that is broken gets a small weight, of the others the names."""
        from compress.testing import laws_for
        from nn.testing.brief import check_briefly
        from nn.testing.check import Report

        report, laws = Report(self.subject.name), {law.__name__: law for law in laws_for(self.subject)}
        check_briefly(report, self.subject, laws, self.examples, self._holds)
        self.tell(text=str(report), failed=not report)

    def _holds(self, law: Law, examples: int, seconds: float) -> None:
        from compress.testing import weights
        from nn.testing.brief import for_all_briefly

        def test(case: Case) -> None:
            with limited(self.seconds, self._endless):
                law(self.subject, case)

        one = self.subject
        self.tell(asking=f"the law {law.__name__} of {one.name}")
        drawn = weights(dimensions=one.dimensions).filter(lambda case: one.takes(*case.args))
        for_all_briefly(drawn, test, examples, seconds)

    def _endless(self, frame: FrameType | None) -> AssertionError:
        line, seconds, self.seconds = line_of(frame, self.file), self.seconds, KNOWN
        return AssertionError(f"it does not come back in {seconds:g} seconds of computing: a loop without an "
                              f"end?{line and f' ({line})'}")
