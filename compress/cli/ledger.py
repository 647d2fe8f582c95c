"""The ledger: what every technique cost and what it bought, as text and as JSON."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from ..program.profile import Profile
from ..table import narrowed, whole
from .findings import disturbed, slow_calls, unpaid
from .metric import ACCURACY, Metric
from .on_device import OnDevice


@dataclass(frozen=True)
class Row:
    """One network compressed by one technique. Scores (by the ledger's metric) are those of the seeds, paired
    differences are to the float network of the same seed, bytes are means; times (see `beside.Beside`),
    `profile` (of 256 examples), `device` (where a GPU was asked for) and `layers` (layer → part of it → bytes
    on disk, see `compress.Report.layers`) are those of the first seed's file."""

    CONTROL: ClassVar[str] = ", dense control"  # ends the name of a row that is a control

    network: str
    technique: str
    scores: tuple[float, ...]
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
    spread: float = 0.0
    profile: Profile | None = None
    device: OnDevice | None = None

    @property
    def control(self) -> bool:
        """Whether this is the small dense network beside another row."""
        return self.technique.endswith(self.CONTROL)

    @property
    def score(self) -> float:
        """Mean over the seeds."""
        return sum(self.scores) / len(self.scores)

    @property
    def difference(self) -> float:
        """Mean over the seeds of (this − float)."""
        return sum(self.differences) / len(self.differences)


HEAD = ("technique", "{metric}", "Δ paired", "bytes on disk", "× smaller", "bytes in memory", "MACs",
        "ms / 256 {examples}", "× faster", "certified / measured error")
SHORT = ("technique", "{metric}", "Δ", "bytes", "× smaller", "in memory", "MACs", "ms", "× faster", HEAD[9])
DEVICE = ("ms on the GPU", "× faster there")
SPARE = tuple(SHORT[i] for i in (9, 6, 5, 2, 4, 7, 3, 8))  # what is left out, first to last


@dataclass(frozen=True)
class Ledger:
    """All rows, and what is needed to reproduce them."""

    rows: tuple[Row, ...]
    seeds: tuple[int, ...]
    chosen: dict[str, Any]
    machine: dict[str, str]
    settings: dict[str, Any]
    busy: float = 0.0  # share of the timing in which another program had the core
    metric: Metric = ACCURACY

    def head(self, names: tuple[str, ...] = HEAD) -> tuple[str, ...]:
        """The names of the columns; those of a GPU before the last, where one was asked for."""
        if self.on_device:
            names = (*names[:-1], *DEVICE, names[-1])
        return tuple(name.format(metric=self.metric.name, examples=self.metric.examples) for name in names)

    @property
    def on_device(self) -> bool:
        """Whether a GPU was asked for."""
        return any(row.device is not None for row in self.rows)

    def cells(self) -> list[tuple[str, ...]]:
        """The table as text, a tuple a row, without its head."""
        metric = self.metric
        return [(f"{row.network} {row.technique}", metric.text(row.score),
                 metric.points(metric.scale * row.difference), f"{row.disk:,.0f}", f"{row.smaller:.2f}",
                 f"{row.memory:,.0f}", f"{row.macs:,.0f}", f"{row.milliseconds:.2f}",
                 f"{row.faster:.2f}" + (f" ±{row.spread:.2f}" if row.spread else ""),
                 *(row.device.cells() if row.device else ("–", "–"))[:2 * self.on_device],
                 f"{_error(row.certified)} / {_error(row.measured)}") for row in self.rows]

    def __str__(self) -> str:
        return whole(self.head(), self.cells())

    def narrow(self, columns: int) -> str:
        """As text in at most this many columns, with a line on what had to be left out for it."""
        text = str(self)
        if len(text.partition("\n")[0]) <= columns:
            return text
        names = ["  " + Row.CONTROL.lstrip(", ") if row.control else f"{row.network} {row.technique}"
                 for row in self.rows]
        cells = [(name, *rest) for name, (_, *rest) in zip(names, self.cells(), strict=True)]
        spare = tuple(name.format(metric=self.metric.name, examples=self.metric.examples) for name in SPARE)
        text, out = narrowed(self.head(SHORT), cells, columns, spare)
        return f"{text}\n\nin the report, for want of room: {', '.join(out)}" if out else text

    def notes(self) -> list[str]:
        """How to read it."""
        first, last = self.seeds[0], self.seeds[-1]
        seeds = f"seed {first}" if first == last else f"mean of seeds {first}…{last}"
        points = "points " if self.metric.scale == 100 else ""
        return [
            f"{self.metric.name}: test {self.metric.examples}, {seeds}; Δ: {points}against the float network "
            "of equal seed and epochs",
            "dense control: a dense float network of (nearly) the same bytes and the same epochs",
            "error: ‖w − ŵ‖/‖w‖ of storing the trained weights; certified is an upper bound from theory",
            "time: one thread, turn by turn with the float network; ±: half of the middle half of the turns; "
            + ", ".join(f"{name} {it}" for name, it in self.machine.items()),
            *["the GPU: its own time for 256 examples that lie there, beside the float network there; "
              "crossing: steps that it has no kernels for, on the CPU"] * self.on_device,
            *disturbed(self.rows, self.busy), *unpaid(self.rows, self.machine.get("kernels", ""))]

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        slow = slow_calls(self.rows)
        rows = [{**asdict(row), "score": row.score, "difference": row.difference,
                 "profile": row.profile and row.profile.to_json(),
                 "slow": slow[i].to_json() if i in slow else None} for i, row in enumerate(self.rows)]
        for row in rows if not self.on_device else ():
            del row["device"]  # nobody asked for it
        return {"metric": self.metric.name, "rows": rows, "seeds": list(self.seeds), "chosen": self.chosen,
                "machine": self.machine, "settings": self.settings, "busy": self.busy}


def _error(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}"
