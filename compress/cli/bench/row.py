"""One line of the benchmark: what was measured, and the bar that it has to reach."""

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

WIDTH = 110  # of a line where standard output is no terminal

AT_LEAST, AT_MOST = "at least", "at most"


@dataclass(frozen=True)
class Row:
    """A measured `value` in `unit`, and the `bar` it has to be at least or at most.

    Without a bar it is context for the rows around it. `value` is None where it could not be measured, and
    `why` then says why not; such a row is neither met nor missed."""

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
        return self.value >= self.bar if self.sense == AT_LEAST else self.value <= self.bar

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {**vars(self), "met": self.met, "command": f"espalier bench {self.group}"}

    def text(self, columns: int | None = None) -> str:
        """What was measured; below it value, bar and verdict; then why it is missing, or its context. Nothing
        stands in columns: a row is printed before the next is known."""
        value = "not measured" if self.value is None else f"{_number(self.value)} {self.unit}"
        bar = "" if self.bar is None else f"bar: {self.sense} {_number(self.bar)}"
        verdict = {True: "met", False: "MISSED", None: ""}[self.met]
        result = "    ".join(filter(None, (value, bar, verdict)))
        note = self.why or "; ".join(f"{name} {_text(value)}" for name, value in self.context.items())
        return "\n".join(line for part, indent in ((self.measure, ""), (result, "    "), (note, "        "))
                         for line in textwrap.wrap(part, columns or WIDTH, initial_indent=indent,
                                                   subsequent_indent=indent))


def verdicts(rows: Iterable[Row]) -> dict[str, int]:
    """How many bars are met, missed, and not measured."""
    barred = [row for row in rows if row.bar is not None]
    return {"met": sum(row.met is True for row in barred), "missed": sum(row.met is False for row in barred),
            "not measured": sum(row.met is None for row in barred)}


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
