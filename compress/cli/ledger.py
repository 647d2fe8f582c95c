"""The ledger: what every technique cost and what it bought, as text and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

__all__ = ["Ledger", "Row"]


@dataclass(frozen=True)
class Row:
    """One network compressed by one technique. Bytes and accuracies are means over the seeds, paired
    differences are to the float network of the same seed; times and `layers` (layer → part of it → bytes on
    disk, see `compress.Report.layers`) are those of the first seed's file; accuracies are fractions.
    """

    CONTROL: ClassVar[str] = ", dense control"  # ends the name of a row that is a control

    network: str
    technique: str
    accuracies: tuple[float, ...]
    differences: tuple[float, ...]
    disk: float
    smaller: float
    memory: float
    macs: float
    milliseconds: float
    faster: float
    certified: float | None
    measured: float | None
    layers: dict[str, dict[str, int]]

    @property
    def control(self) -> bool:
        """Whether this is the small dense network beside another row."""
        return self.technique.endswith(self.CONTROL)

    @property
    def accuracy(self) -> float:
        """Mean over the seeds."""
        return sum(self.accuracies) / len(self.accuracies)

    @property
    def difference(self) -> float:
        """Mean over the seeds of (this − float)."""
        return sum(self.differences) / len(self.differences)


HEAD = (
    "technique",
    "accuracy",
    "Δ paired",
    "bytes on disk",
    "× smaller",
    "bytes in memory",
    "MACs",
    "ms / 256 images",
    "× faster",
    "certified / measured error",
)


@dataclass(frozen=True)
class Ledger:
    """All rows, and what one must know to get them again."""

    rows: tuple[Row, ...]
    seeds: tuple[int, ...]
    chosen: dict[str, Any]
    machine: dict[str, str]
    settings: dict[str, Any]

    def cells(self) -> list[tuple[str, ...]]:
        """The table as text, a tuple a row, without its head."""
        return [
            (
                f"{row.network} {row.technique}",
                f"{row.accuracy:.2%}",
                f"{100 * row.difference:+.2f}",
                f"{row.disk:,.0f}",
                f"{row.smaller:.2f}",
                f"{row.memory:,.0f}",
                f"{row.macs:,.0f}",
                f"{row.milliseconds:.2f}",
                f"{row.faster:.2f}",
                f"{_error(row.certified)} / {_error(row.measured)}",
            )
            for row in self.rows
        ]

    def __str__(self) -> str:
        table = [HEAD, *self.cells()]
        widths = [max(len(line[i]) for line in table) for i in range(len(HEAD))]
        lines = [
            "  ".join(
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in table
        ]
        rule = "  ".join("─" * width for width in widths)
        return "\n".join([lines[0], rule, *lines[1:]])

    def notes(self) -> list[str]:
        """How to read it."""
        first, last = self.seeds[0], self.seeds[-1]
        seeds = f"seed {first}" if first == last else f"mean of seeds {first}…{last}"
        return [
            f"accuracy: test images, {seeds}; Δ: points against the float network of equal seed and epochs",
            "dense control: a dense float network of (nearly) the same bytes and the same epochs",
            "error: ‖w − ŵ‖/‖w‖ of storing the trained weights; certified is an upper bound from theory",
            "time: median, one thread; " + ", ".join(f"{name} {it}" for name, it in self.machine.items()),
        ]

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        rows = [{**asdict(row), "accuracy": row.accuracy, "difference": row.difference} for row in self.rows]
        return {
            "rows": rows,
            "seeds": list(self.seeds),
            "chosen": self.chosen,
            "machine": self.machine,
            "settings": self.settings,
        }


def _error(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}"
