"""A property with points, what one of them finds in a hand-in, and a student's own run of all.

    @graded(points=2)
    @given(low=st.floats(-1e6, 0), high=st.floats(0, 1e6), bits=st.integers(2, 8))
    def zero_is_exact(student, low, high, bits):
        \"""Zero has a code of its own: padding and ReLU come back as exactly 0.\"""
        ...

    if __name__ == "__main__":
        main(__file__)                       # checks this file, and prints a table of points

The examples are the same in every run: Hypothesis derives them from the text of the property. (It also tries
numbers that it finds in modules of one's own, so that a student's run and the grader's may differ by a few.)
"""

from __future__ import annotations

import inspect
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from types import ModuleType
from typing import Any

import numpy as np

from .failures import INDENT, Stop, clean
from .proxy import InProcess, Student
from .timer import SECONDS

EXAMPLES = 30
EVERY = ("NotImplementedError", "missing")  # kinds of failures that are those of every example


@dataclass(frozen=True)
class Property:
    """A property of an assignment: its name, points, what it says, and the test that checks it."""

    name: str
    points: int
    text: str
    test: Callable[[Any], None]


@dataclass(frozen=True)
class Outcome:
    """What came of checking a property. message: for the student, empty where it holds; errored: whether the
    property itself broke on what it was given (a fault of the assignment, though the points are lost);
    stopped: whether the hand-in crashed or ran out of time; output: what the hand-in printed meanwhile."""

    property: Property
    holds: bool
    message: str = ""
    errored: bool = False
    stopped: bool = False
    seconds: float = 0.0
    output: str = ""

    @property
    def score(self) -> int:
        """All points of the property, or none."""
        return self.property.points if self.holds else 0


def graded(points: int, *, examples: int = EXAMPLES) -> Callable:
    """Decorator: a function of `student`, and of what Hypothesis draws if it is decorated with `given`, is
    worth `points`. Outermost; `examples` is how many are drawn. Raises TypeError or ValueError for points
    that are no positive whole number, and for what has @settings already."""
    if type(points) is not int or points < 1:
        raise ValueError(f"graded: points must be a whole number from 1 on; got {points!r}")

    def decorate(test: Callable) -> Callable:
        if hasattr(test, "hypothesis"):
            test = _settled(test, examples)
        test.graded = Property(test.__name__, points, inspect.getdoc(test) or "", test)
        return test

    return decorate


def _settled(test: Callable, examples: int) -> Callable:
    from hypothesis import HealthCheck, Phase, Verbosity, errors, settings

    chosen = settings(max_examples=examples, derandomize=True, database=None, deadline=None, print_blob=False,
                      report_multiple_bugs=False, verbosity=Verbosity.quiet,
                      phases=(Phase.explicit, Phase.generate, Phase.shrink),
                      suppress_health_check=list(HealthCheck))
    try:
        return chosen(test)
    except errors.InvalidArgument:
        raise TypeError(f"graded: {test.__name__} has @settings; say graded(points, examples=...)") from None


def properties(module: ModuleType) -> list[Property]:
    """The graded properties that a module defines, in its order."""
    found = (getattr(value, "graded", None) for value in vars(module).values())
    return [one for one in found if isinstance(one, Property)]


def check(prop: Property, student: Student) -> Outcome:
    """Whether the property holds for a hand-in, and if not, a message with the smallest example found."""
    start = time.perf_counter()
    case = _Case(student)
    try:
        student.begin()
        with case.noted(prop.test) as test:
            test(None)  # Hypothesis takes the first argument for an object with methods of its own
        found = {"holds": True}
    except Stop as stop:  # a smaller example may have been looked for, when the time was up
        message = case.message() if case.error is not None else f"{stop}{case.shown()}"
        found = {"holds": False, "message": message, "errored": case.errored, "stopped": True}
    except Exception as error:
        again = case.error is not None and not isinstance(error, type(case.error))
        case.error = case.error or error
        found = {"holds": False, "message": case.message(again), "errored": case.errored}
    found["message"] = clean(found.get("message", ""))
    return Outcome(prop, **found, seconds=time.perf_counter() - start, output=clean(student.printed()))


class _Case:
    """The example that is tried, and the last one that failed with its error."""

    def __init__(self, student: Student):
        self.student = student
        self.given: dict[str, Any] = {}
        self.failed = ""
        self.error: Exception | None = None

    @contextmanager
    def noted(self, test: Callable) -> Iterator[Callable]:
        """The test, of which each example and what it raises are noted here; within the inner test of a
        Hypothesis test, which draws them."""
        handle = getattr(test, "hypothesis", None)
        inner = test if handle is None else handle.inner_test

        @wraps(inner)
        def noting(*_: None, **given: Any) -> None:
            self.given = {name: value for name, value in given.items() if name != "student"}
            try:
                inner(self.student, **self.given)
            except Exception as error:
                if not type(error).__module__.startswith("hypothesis"):  # as assume() raises
                    self.error, self.failed = error, self.shown()
                raise

        if handle is None:
            yield noting
            return
        handle.inner_test = noting
        try:
            yield test
        finally:
            handle.inner_test = inner

    def shown(self) -> str:
        """The example that is tried, if any was drawn."""
        said = ", ".join(f"{name} = {show(value)}" for name, value in self.given.items())
        return f"{INDENT}for {said}" if said else ""

    @property
    def errored(self) -> bool:
        """Whether the property broke, where it should have said what is wrong."""
        return self.error is not None and not isinstance(self.error, AssertionError)

    def message(self, again: bool = False) -> str:
        """What the last failure says, and for which example."""
        text = str(self.error) or "this does not hold"
        if self.errored:
            text = f"the check could not go on with what was returned ({type(self.error).__name__}: {text})"
        if getattr(self.error, "kind", "") not in EVERY:
            text = f"{text}{self.failed}"
        return f"{text}{INDENT}(and it passes when it is tried again)" if again else text


def show(value: Any) -> str:
    """An example's value in a line: of an array its dtype and shape, the values too if they are few."""
    if isinstance(value, np.ndarray):
        values = np.array2string(value, threshold=24, max_line_width=10**6, separator=", ").replace("\n", "")
        return f"{values} ({value.dtype})" if value.size <= 24 else f"{value.dtype}{value.shape}"
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:150]} … {text[-40:]}"


def main(file: str) -> None:
    """Check the module that runs as `file` (a student's own run), print a table, and exit: 0 if every
    property holds, 1 if not. Names of properties may be given on the command line, to check only these: 2 for
    others."""
    module = sys.modules["__main__"]
    found = {one.name: one for one in properties(module)}
    wanted = sys.argv[1:] or list(found)
    unknown = [name for name in wanted if name not in found]
    if unknown:
        print(f"{os.path.basename(file)}: no property is called {unknown[0]!r}; there are: "
              f"{', '.join(found)}", file=sys.stderr)
        sys.exit(2)
    try:
        sys.exit(_own_run([found[name] for name in wanted], InProcess(module, SECONDS)))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader has seen enough, as in `python integers.py | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _own_run(wanted: list[Property], student: Student) -> int:
    """Check these, and print what comes of them; the exit code."""
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", folder)  # or it would leave one here
        for one in wanted:
            outcomes.append(check(one, student))
            print(line(outcomes[-1]), flush=True)
    print(f"{sum(one.score for one in outcomes)} of {sum(one.points for one in wanted)} points", flush=True)
    return 0 if all(one.holds for one in outcomes) else 1


def line(outcome: Outcome) -> str:
    """An outcome in a line of a table, with the message below it where the property does not hold."""
    head = f"{outcome.score}/{outcome.property.points}  {outcome.property.name}"
    if outcome.holds:
        return head
    text = "\n".join(f"       {one}" for one in outcome.message.splitlines())
    claim = outcome.property.text.partition("\n\n")[0].replace("\n", " ")
    return f"{head}: {claim}\n{text}" if claim else f"{head}\n{text}"
