"""Grade one hand-in of one assignment: `python -m compress.classroom.grading FOLDER HANDIN` .

It is a process of its own for every hand-in, so that whatever a hand-in does to its grader, the next one
meets another, and Hypothesis draws the same examples for everyone (it looks at the modules that are loaded).
What it finds goes to standard output as a line of JSON for each property, as soon as it is known."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from . import sandbox
from .assignment import Assignment
from .child import Child
from .failures import Stop
from .graded import Outcome, check
from .handins import code_of
from .timer import limited

SECONDS = 30  # of the processor, that a property itself may take; where a hand-in returns strange things


def grade(assignment: Assignment, file: Path) -> Iterator[Outcome]:
    """What comes of each property for the hand-in in this file; hidden ones are last, so that it can't show
    what it was given by them under another."""
    with tempfile.TemporaryDirectory(prefix="espalier-") as folder:
        if file.suffix == ".ipynb" and not assignment.handin.endswith(".ipynb"):
            module = Path(folder, assignment.handin)
            module.write_text(code_of(file.read_bytes()), encoding="utf-8")
            file = module
        with Child(file, adapter=assignment.adapter) as student:
            for one in sorted(assignment.properties, key=lambda one: one.name in assignment.hidden):
                with limited(SECONDS, too_long):
                    outcome = check(one, student)
                yield outcome


def too_long(frame: object) -> Stop:
    """What ends a check that does not come to an end by itself."""
    return Stop(f"the check was stopped: to look at what was returned took {SECONDS} seconds; is it what was "
                "asked for?")


def to_line(outcome: Outcome) -> str:
    """An outcome as a line of JSON."""
    return json.dumps({"name": outcome.property.name, "holds": outcome.holds, "message": outcome.message,
                       "errored": outcome.errored, "stopped": outcome.stopped, "seconds": outcome.seconds,
                       "output": outcome.output})


def of_line(line: str, assignment: Assignment) -> Outcome:
    """The outcome that a line says. Raises ValueError or KeyError for another line."""
    found = json.loads(line)
    prop = {one.name: one for one in assignment.properties}[found.pop("name")]
    return Outcome(prop, **found)


def main(folder: str, file: str) -> None:
    """Grade `file` by the assignment in `folder`, and print the outcomes. Ends when the one who asked
    does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sandbox.adopt_orphans()
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what properties print does not mix with the outcomes
    try:
        for outcome in grade(Assignment(Path(folder)), Path(file)):
            print(to_line(outcome), file=lines, flush=True)
    finally:
        _end_children()


def _end_children() -> None:
    """End what a hand-in has started and left behind; such processes are children of this one by now."""
    for _ in range(100):
        children = _children()
        for pid in children:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        for pid in children:
            with suppress(OSError):
                os.waitpid(pid, 0)
        if not children:
            return


def _children() -> list[int]:
    with suppress(OSError):
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    return []


if __name__ == "__main__":
    main(*sys.argv[1:])
