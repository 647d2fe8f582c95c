"""`espalier --grid`: accuracy by bits of weights and of activations, after training and trained.

Each pair of bits and each seed is a task of its own; what is finished is in grid.json at once, and a run that
was cut off goes on from there."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import nn
from nn.files import write_bytes

from ..interrupt import on_interrupt
from ..table import whole
from . import grid_chart, outputs
from .experiment import Data
from .job import Options, machine
from .low_bits import ACTIVATIONS, WEIGHTS, Accuracies, Bits, measured, name
from .workers import Workers

CELLS = [Bits(*pair) for pair in product(WEIGHTS, ACTIVATIONS) if any(pair)]
KINDS = {"after": "quantized after training", "trained": "trained with quantization"}
FILE, PICTURE = "grid.json", "grid.png"
SEEDS = 3
NOTES = (
    "points of accuracy on test images against the float network of the same seed and of equal epochs, mean "
    "± standard error; in the corner the accuracy of the float networks",
    "the first and the last layer have 8 bits where the others have fewer; float weights with integer "
    "activations are simulated, as no kernel multiplies them")


@dataclass(frozen=True)
class Table:
    """The accuracies of every pair of bits that is finished, by seed."""

    settings: dict[str, Any]
    found: dict[tuple[Bits, int], Accuracies]

    def differences(self, bits: Bits, kind: str) -> list[float]:
        """In points, of each seed that is finished: against its own float network."""
        return [100 * (getattr(one, kind) - one.float) for (own, _), one in self.found.items() if own == bits]

    def floats(self) -> list[float]:
        """The accuracy of each seed's float network, in percent."""
        return list({seed: 100 * one.float for (_, seed), one in self.found.items()}.values())

    def text(self, kind: str) -> str:
        """A table: a line for each width of weights, a column for each of activations."""
        head = ("weights", *(f"activations {name(bits)}" for bits in ACTIVATIONS))
        return whole(head, [(name(w), *(self._cell(Bits(w, a), kind) for a in ACTIVATIONS)) for w in WEIGHTS])

    def _cell(self, bits: Bits, kind: str) -> str:
        points = self.differences(bits, kind)
        if not any((bits.weights, bits.activations)):
            return f"{statistics.fmean(self.floats()):.2f} %" if self.found else "–"
        return with_error(points) if points else "–"

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        cells = [{**asdict(bits), "seed": seed, "accuracies": asdict(one)}
                 for (bits, seed), one in self.found.items()]
        return {"cells": cells, "settings": self.settings, "machine": machine()}

    @classmethod
    def read(cls, path: Path, settings: dict[str, Any]) -> Table:
        """What an earlier run with these settings has found, nothing if there was none. Raises nn.FileError
        for a file that is no such table, or one of other settings."""
        if not path.exists():
            return cls(settings, {})
        try:
            read: Any = json.loads(path.read_bytes())
            found = {(Bits(cell["weights"], cell["activations"]), int(cell["seed"])):
                     Accuracies(**{key: float(value) for key, value in cell["accuracies"].items()})
                     for cell in read["cells"]}
            theirs = read["settings"]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            why = f"{str(path)!r} is not of a run of ours"
            raise nn.FileError(f"--out: {why}; choose another --out") from None
        if theirs != settings:
            why = f"{str(path)!r} is a grid of other data or epochs"
            raise nn.FileError(f"--out: {why}; choose another --out")
        return cls(settings, found)


def run(options: Options) -> Table:
    """Measure what `options.out` does not have yet, and write grid.json and, with the extra `plot`, grid.png.

    Raises OSError or nn.FileError for data that can't be read, a folder that can't be written, or one that
    holds a grid.json of something else."""
    data = Data(options.data, limit=400 if options.quick else None)
    digits = data.load()
    out, budget = options.out, options.budget
    settings = {"budget": asdict(budget), "images": len(digits.x_train), "data": options.data}
    if out.exists() and not out.is_dir():
        raise nn.FileError(f"--out: {str(out)!r} is a file, not a folder")
    out.mkdir(parents=True, exist_ok=True)
    outputs.check_writable(out)
    table = Table.read(out / FILE, settings)
    seeds = range(options.seed, options.seed + options.seeds)
    left = [(bits, seed) for seed in seeds for bits in CELLS if (bits, seed) not in table.found]
    epochs = len(left) * budget.tune + len({seed for _, seed in left}) * (budget.base + budget.tune)
    if left:
        with on_interrupt(lambda: _kept(table, out)), Workers(options.threads, epochs) as pool:
            asked = {pool.submit(measured, data, budget, seed, bits): (bits, seed) for bits, seed in left}
            for done in as_completed(asked):
                table.found[asked[done]] = done.result()
                write_bytes(out / FILE, (json.dumps(table.to_json(), indent=1) + "\n").encode())
    grid_chart.draw(table, KINDS, out / PICTURE)
    return table


def _kept(table: Table, out: Path) -> str:
    if not table.found:
        return "nothing was written"
    return f"kept: results of {len(table.found)} cells in {out / FILE}; the same command goes on from there"


def with_error(points: Iterable[float]) -> str:
    """The mean of differences ± its standard error."""
    points = list(points)
    error = f" ±{standard_error(points):.2f}" if len(points) > 1 else ""
    return f"{statistics.fmean(points):+.2f}{error}"


def standard_error(points: list[float]) -> float:
    """Of the mean."""
    return statistics.stdev(points) / len(points) ** 0.5
