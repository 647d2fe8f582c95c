"""`espalier --grid`: accuracy by bits of weights and of activations, after training and trained."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from itertools import product
from typing import Any

from ..table import whole
from . import cells, grid_chart
from .cells import Cells, with_error
from .experiment import Budget
from .job import Options
from .low_bits import ACTIVATIONS, WEIGHTS, Accuracies, Bits, measured, name

CELLS = [Bits(*pair) for pair in product(WEIGHTS, ACTIVATIONS) if any(pair)]
KINDS = {"after": "quantized after training", "trained": "trained with quantization"}
PICTURE = "grid.png"
SEEDS = 3
NOTES = (
    "points of accuracy on test images against the float network of the same seed and of equal epochs, mean "
    "± standard error; in the corner the accuracy of the float networks",
    "the first and the last layer have 8 bits where the others have fewer; float weights with integer "
    "activations are simulated, as no kernel multiplies them")


@dataclass(frozen=True)
class Table(Cells):
    """The accuracies of every pair of bits that is finished, by seed."""

    what, file, setting, outcome = "grid", "grid.json", Bits, Accuracies

    def text(self, kind: str) -> str:
        """A table: a line for each width of weights, a column for each of activations."""
        head = ("weights", *(f"activations {name(bits)}" for bits in ACTIVATIONS))
        return whole(head, [(name(w), *(self._cell(Bits(w, a), kind) for a in ACTIVATIONS)) for w in WEIGHTS])

    def notes(self) -> tuple[str, ...]:
        """How to read it."""
        return NOTES

    def _cell(self, bits: Bits, kind: str) -> str:
        points = self.differences(bits, kind)
        if not any((bits.weights, bits.activations)):
            return f"{statistics.fmean(self.floats()):.2f} %" if self.found else "–"
        return with_error(points) if points else "–"


def run(options: Options) -> Table:
    """Measure what `options.out` does not have yet, and write grid.json and, with the extra `plot`, grid.png.
    Raises as `cells.run` does."""
    table = cells.run(Table, options, CELLS, measured, _epochs)
    grid_chart.draw(table, KINDS, options.out / PICTURE)
    return table


def _epochs(budget: Budget, left: list[tuple[Any, int]]) -> int:
    return len(left) * budget.tune + len({seed for _, seed in left}) * (budget.base + budget.tune)
