"""What came of grading a hand-in: Gradescope's results.json, and a plain table.

    {"score": 13, "max_score": 22, "execution_time": 3.1, "output": "…", "stdout_visibility": "hidden",
     "tests": [{"name": …, "score": 2, "max_score": 2, "status": "passed", "output": …, "visibility": …}, …]}

(https://gradescope-autograders.readthedocs.io/en/latest/specs/; other graders and any CI can read it as
well.) Hidden properties are "after_published": students see them when grades are. A file is written beside
and renamed, and first with zeros, so that there is a whole one whatever happens to the grader."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nn.files import write_bytes

from .graded import Outcome, Property

UNFINISHED = "not graded: the grader was interrupted before it came to this"
HIDDEN = "after_published"


@dataclass
class Result:
    """A graded hand-in. handin: the name of its folder; note: what is to be said of it as a whole;
    properties: those that it was graded by, of which `hidden` are not shown to students yet; outcomes: what
    came of them by name, of which some may be missing; seconds: how long it took."""

    handin: str
    assignment: str
    properties: list[Property]
    hidden: frozenset[str]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    note: str = ""
    seconds: float = 0.0

    @property
    def score(self) -> int:
        """The points that it has."""
        return sum(one.score for one in self.outcomes.values())

    @property
    def points(self) -> int:
        """The points that there are."""
        return sum(one.points for one in self.properties)

    def to_json(self) -> dict[str, Any]:
        """As Gradescope wants it."""
        return {"score": self.score, "max_score": self.points, "execution_time": round(self.seconds, 2),
                "output": self.note, "visibility": "visible", "stdout_visibility": "hidden",
                "tests": [self._test(one) for one in self.properties]}

    def _test(self, prop: Property) -> dict[str, Any]:
        outcome, hidden = self.outcomes.get(prop.name), prop.name in self.hidden
        said = prop.text
        if outcome is None:
            said = self.note or UNFINISHED
        elif not outcome.holds:
            said = "\n\n".join(filter(None, (prop.text, outcome.message, self._printed(outcome, hidden))))
        return {"name": prop.name, "score": outcome.score if outcome else 0, "max_score": prop.points,
                "status": "passed" if outcome and outcome.holds else "failed", "output": said,
                "output_format": "text", "visibility": HIDDEN if hidden else "visible"}

    @staticmethod
    def _printed(outcome: Outcome, hidden: bool) -> str:
        """What the hand-in printed; not under a hidden property, of which it would show the examples."""
        return f"It printed:\n{outcome.output}" if outcome.output.strip() and not hidden else ""

    def __str__(self) -> str:
        lines = [f"{self.handin}, {self.assignment}: {self.score} of {self.points} points"]
        same = {outcome.message for outcome in self.outcomes.values()}
        once = same.pop() if len(same) == 1 and len(self.outcomes) > 1 else ""  # of a file that is none
        lines += [f"    {line}" for line in (self.note or once).splitlines()]
        for one in self.properties:
            outcome = self.outcomes.get(one.name)
            mark = "hidden" if one.name in self.hidden else ""
            lines.append(f"  {outcome.score if outcome else 0}/{one.points}  {one.name}  {mark}".rstrip())
            if outcome is not None and not outcome.holds and not once:
                lines += [f"       {line}" for line in outcome.message.splitlines()]
        return "\n".join(lines)


def table(results: Iterable[Result]) -> str:
    """A line for every hand-in: its points, how many properties hold, and what is wrong first."""
    rows = [("hand-in", "assignment", "points", "of", "hold", "first")]
    for one in results:
        held = sum(outcome.holds for outcome in one.outcomes.values())
        lost = [f"{name}: {outcome.message}" for name, outcome in one.outcomes.items() if not outcome.holds]
        first = (one.note or (lost[0] if lost else "")).partition("\n")[0]
        rows.append((one.handin, one.assignment, str(one.score), str(one.points),
                     f"{held}/{len(one.properties)}", first))
    wide = [max(len(row[i]) for row in rows) for i in range(5)]
    return "\n".join(_row(row, wide) for row in rows)


def _row(row: tuple[str, ...], wide: list[int]) -> str:
    numbers = (2, 3, 4)
    cells = [cell.rjust(n) if i in numbers else cell.ljust(n)
             for i, (cell, n) in enumerate(zip(row[:5], wide, strict=True))]
    return "  ".join([*cells, row[5]]).rstrip()


def write_failure(path: Path, why: str) -> None:
    """Write a results file of a hand-in that could not be graded. Raises OSError."""
    content = {"score": 0, "output": why, "visibility": "visible", "stdout_visibility": "hidden", "tests": []}
    write_bytes(path, (json.dumps(content, indent=1) + "\n").encode())


def write(path: Path, results: list[Result], single: bool) -> None:
    """Write results as JSON: that of the only hand-in, or {"handins": [...]}, each with its name and
    assignment. Raises OSError, with the old file as it was."""
    if single:
        content: Any = results[0].to_json()
    else:
        content = {"handins": [{"handin": one.handin, "assignment": one.assignment} | one.to_json()
                               for one in results]}
    write_bytes(path, (json.dumps(content, indent=1, ensure_ascii=True) + "\n").encode())
