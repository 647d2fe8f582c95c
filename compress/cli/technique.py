"""The child process of `espalier check-technique`: loads a file, and asks the laws of a class in it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
import time
import traceback
from dataclasses import replace
from typing import Any

from compress import Transform

SHRINKING, OTHERS = 4.0, 3.0  # seconds for a smaller weight, and for all the other laws


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
            _check(subject, int(examples), tell)
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


def _check(subject: Any, examples: int, tell: Any) -> None:
    """Every law of one subject; the first that is broken gets a small weight, of the others the names."""
    from compress.testing import laws_for
    from nn.testing.check import Report

    report, laws = Report(subject.name), list(laws_for(subject))
    while laws:
        law = laws.pop(0)
        tell(asking=f"the law {law.__name__} of {subject.name}")
        if not report.run(law.__name__, subject, lambda law=law: _holds(law, subject, examples, SHRINKING)):
            break
    text = []
    if report.failures:
        text.append(f"    the law: {' '.join((law.__doc__ or '').split())}")
        until = time.monotonic() + OTHERS
        for other in laws:
            if time.monotonic() > until:
                break
            tell(asking=f"the law {other.__name__} of {subject.name}")
            try:
                _holds(other, subject, 3, 0)
            except AssertionError:
                report.others.append(other.__name__)
        if report.others:
            text.append(f"    broken too: {', '.join(report.others)}")
    tell(text="\n".join([str(report), *text]), failed=bool(report.failures))


def _holds(law: Any, subject: Any, examples: int, seconds: float) -> None:
    from compress.testing import weights
    from nn.testing.brief import for_all_briefly

    drawn = weights(dimensions=subject.dimensions).filter(lambda case: subject.takes(*case.args))
    for_all_briefly(drawn, lambda case: law(subject, case), examples, seconds)
