"""Is the grader right? It is graded by hand-ins of which the marks are known.

The reference and two other right solutions (second.py, third.py) must get all points; a blank copy and copies
that return a constant none; and a copy with a planted bug (bugs.py) must lose the properties that the bug
says. The share of bugs that do is the mutation score (DeMillo, Lipton & Sayward 1978). And no property may
break on what a hand-in returns: it has to say what is wrong.

    python -m compress.classroom.mutation integers   # prints the score; without a name, of all assignments

With `--in-process` hand-ins are not put into processes of their own, which is faster, and hangs where a bug
does.
"""

from __future__ import annotations

import ast
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from . import marks
from .assignment import OTHERS, Assignment, Bug, assignments, load
from .child import Child
from .graded import Outcome, check
from .proxy import InProcess, Student

__all__ = ["Bug", "Score", "score"]

# What lazy or confused code returns. None of it may earn a point.
CONSTANTS_IN_C = ("0", "1", "-1")
CONSTANTS = {"None": "None", "0": "0", "1.0": "1.0", "NaN": "float('nan')", "an empty list": "[]",
             "text": "'42'", "an empty array": "__import__('numpy').empty(0)", "True": "True",
             "zeros": "__import__('numpy').zeros((2, 2))", "two times None": "(None, None)"}

Opened = Callable[[str, Assignment], AbstractContextManager[Student]]


@dataclass
class Score:
    """What came of the grader's hand-ins: `planted` bugs, of which `killed` lost what they should; `faults`,
    in words, of which there must be none; `seconds` that the reference took to be graded."""

    name: str
    points: int = 0
    planted: int = 0
    killed: int = 0
    right: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return not self.faults and self.planted > 0

    def __str__(self) -> str:
        share = f"{100 * self.killed / self.planted:.0f} %" if self.planted else "none"
        head = (f"{self.name}: {self.killed} of {self.planted} planted bugs lose what they should (mutation "
                f"score {share}); {self.right} right solutions have all {self.points} points; the reference "
                f"takes {self.seconds:.1f} s")
        return "\n".join([head, *(f"    {fault}" for fault in self.faults)])


def score(assignment: Assignment, opened: Opened | None = None) -> Score:
    """Grade the grader of an assignment. `opened(text, assignment)` is a context that gives the student for
    the text of a hand-in: by default `isolated`, as hand-ins are graded."""
    opened = isolated if opened is None else opened
    found = Score(assignment.name, assignment.points)
    answer, suffix = assignment.answer.read_text(encoding="utf-8"), assignment.answer.suffix
    solved = marks.solved_copy(answer)
    right = {"the reference": solved}
    for name in OTHERS:
        path = assignment.folder / f"{name}{suffix}"
        if path.is_file():
            right[path.name] = spliced(assignment, path.read_text(encoding="utf-8"))
        else:
            found.faults.append(f"there is no {path.name}, a further right solution")
    for name, text in right.items():
        start = time.perf_counter()
        lost = [one for one in _graded(text, assignment, opened) if not one.holds]
        found.seconds = found.seconds or time.perf_counter() - start
        found.right += not lost
        found.faults += [f"{name} loses {one.property.name}: {one.message}" for one in lost]
    found.faults += _calls_of_its_own(assignment)
    blank = marks.student_copy(answer, suffix)
    for name, text in {"a blank copy": blank, **_constant_copies(blank)}.items():
        outcomes = _graded(text, assignment, opened)
        found.faults += [f"{name} gets the points of {one.property.name}" for one in outcomes if one.holds]
        found.faults += _errors(name, outcomes)
    for bug in assignment.bugs:
        found.planted += 1
        if solved.count(bug.old) != 1:
            times = solved.count(bug.old)
            found.faults.append(f"bug {bug.name!r}: its old text is there {times} times, wanted once")
            continue
        outcomes = _graded(solved.replace(bug.old, bug.new), assignment, opened)
        lost = {one.property.name for one in outcomes if not one.holds}
        if set(bug.loses) <= lost and lost:
            found.killed += 1
        else:
            kept = sorted(set(bug.loses) - lost) or ["everything"]
            found.faults.append(f"bug {bug.name!r} keeps the points of {', '.join(kept)}; it loses "
                                f"{', '.join(sorted(lost)) or 'nothing'}")
        found.faults += _errors(f"bug {bug.name!r}", outcomes)
    return found


def _calls_of_its_own(assignment: Assignment) -> list[str]:
    """Properties that call a function of the source where they should call the hand-in's: it would be
    right."""
    trees = [ast.parse(text).body for text in (marks.student_copy(assignment.text), assignment.text)]
    blank, all_of_it = ([node for node in tree if isinstance(node, ast.FunctionDef)] for tree in trees)
    solved = {node.name for node in blank if isinstance(node.body[-1], ast.Raise)}
    properties = {one.name for one in assignment.properties}
    return [f"{node.name} calls {inner.id} of the source, not that of the hand-in"
            for node in all_of_it if node.name in properties
            for inner in ast.walk(node) if isinstance(inner, ast.Name) and inner.id in solved]


def spliced(assignment: Assignment, functions: str) -> str:
    """A blank copy followed by these functions, which take the place of its own. (A file in C is whole.)"""
    if assignment.answer.suffix in marks.C_FILES:
        return functions
    functions = re.sub(r"^from __future__ .*$", "", functions, flags=re.MULTILINE)
    return f"{marks.student_copy(assignment.text)}\n\n{functions}"


def _constant_copies(blank: str) -> dict[str, str]:
    if "return NOT_WRITTEN;" in blank:
        return {f"a copy that returns {value}": blank.replace("return NOT_WRITTEN;", f"return {value};")
                for value in CONSTANTS_IN_C}
    return {f"a copy that returns {name}": blank.replace("raise NotImplementedError", f"return {value}")
            for name, value in CONSTANTS.items()}


def _errors(name: str, outcomes: list[Outcome]) -> list[str]:
    return [f"{name}: {one.property.name} breaks: {one.message}" for one in outcomes if one.errored]


def _graded(text: str, assignment: Assignment, opened: Opened) -> list[Outcome]:
    with opened(text, assignment) as student:
        return [check(one, student) for one in assignment.properties]


@contextmanager
def isolated(text: str, assignment: Assignment) -> Iterator[Student]:
    """The hand-in with this text, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, assignment.handin)
        path.write_text(text, encoding="utf-8")
        with Child(path, adapter=assignment.adapter) as student:
            yield student


@contextmanager
def in_process(text: str, assignment: Assignment) -> Iterator[Student]:
    """The hand-in with this text, as a module of this process: faster, and at one's own risk."""
    name = f"espalier_handin_{assignment.name}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, assignment.handin)
        path.write_text(text, encoding="utf-8")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the hand-in's own arithmetic
                yield InProcess(load(path, name))
        finally:
            sys.modules.pop(name, None)


def main(words: list[str]) -> int:
    """Print the scores of these assignments, or of all; 1 if one has a fault."""
    found = assignments()
    opened = in_process if "--in-process" in words else isolated
    scores = []
    for name in [word for word in words if word != "--in-process"] or found:
        scores.append(score(found[name], opened))
        print(scores[-1], flush=True)
    return 0 if all(scores) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
