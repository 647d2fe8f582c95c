"""One line of the benchmark: what was measured, and the bar that it has to reach."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import Any

__all__ = ["AT_LEAST", "AT_MOST", "WITHIN", "Row", "table", "verdicts"]

WIDTH = 110  # of a line of notes

AT_LEAST, AT_MOST, WITHIN = "at least", "at most", "within"


@dataclass(frozen=True)
class Row:
    """A measured `value` in `unit`, and the `bar` it has to be at least, at most or (±) within.

    Without a bar it is context for the rows around it. `value` is None where it could not be measured, and
    `why` then says why not; such a row is neither met nor missed.
    """

    group: str
    measure: str
    value: float | None
    unit: str
    bar: float | None = None
    sense: str = AT_LEAST
    context: dict[str, Any] = field(default_factory=dict)
    why: str | None = None

    @property
    def met(self) -> bool | None:
        """Whether the bar is reached; None without a bar or without a value."""
        if self.value is None or self.bar is None:
            return None
        if self.sense == AT_LEAST:
            return self.value >= self.bar
        return (abs(self.value) if self.sense == WITHIN else self.value) <= self.bar

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {**vars(self), "met": self.met, "command": f"bonsai bench {self.group}"}

    def cells(self) -> tuple[str, str, str, str]:
        """Measure, value, bar and verdict as text."""
        value = "not measured" if self.value is None else f"{_number(self.value)} {self.unit}"
        bar = "" if self.bar is None else f"{self.sense} {_number(self.bar)}"
        return self.measure, value, bar, {True: "met", False: "MISSED", None: ""}[self.met]

    def note(self) -> str:
        """What stands beside the value: why it is missing, or its context."""
        return self.why or "; ".join(f"{name} {_text(value)}" for name, value in self.context.items())


def table(rows: list[Row]) -> str:
    """All rows as text, the note of each below it."""
    lines = [("measure", "value", "bar", ""), *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(4)]
    texts = [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:<{widths[2]}}  {d}".rstrip() for a, b, c, d in lines]
    notes = [_folded(row.note()) for row in rows]
    rule = "─" * max(map(len, texts))
    return "\n".join([texts[0], rule, *(text + note for text, note in zip(texts[1:], notes, strict=True))])


def verdicts(rows: list[Row]) -> dict[str, int]:
    """How many bars are met, missed, and not measured."""
    barred = [row for row in rows if row.bar is not None]
    return {
        "met": sum(row.met is True for row in barred),
        "missed": sum(row.met is False for row in barred),
        "not measured": sum(row.met is None for row in barred),
    }


def _folded(note: str) -> str:
    indent = " " * 4
    lines = textwrap.wrap(note, WIDTH, initial_indent=indent, subsequent_indent=indent)
    return "".join(f"\n{line}" for line in lines)


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}".removesuffix(".0")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, list):
        return " ".join(map(_text, value))
    return str(value)
