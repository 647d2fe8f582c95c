"""`espalier --curves`: accuracy against sparsity for each score, pruned alone, retrained and iteratively,
beside dense networks of equal bytes."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from itertools import product
from typing import Any

from ..table import whole
from . import cells, curves_chart
from .cells import Cells, with_error
from .experiment import Budget
from .job import Options
from .pruned import ROUNDS
from .pruned_digits import CONTROL, SCORES, Accuracies, Pruning, measured

SPARSITIES = (0.5, 0.8, 0.9, 0.95, 0.98)
CURVES = (*SCORES, CONTROL)
CELLS = [Pruning(score, sparsity) for sparsity, score in product(SPARSITIES, CURVES)]
KINDS = {"pruned": "pruned, and not trained any more", "retrained": "pruned at once, and retrained",
         "iterative": f"pruned in {ROUNDS} cuts, trained after each"}
PICTURE = "curves.png"
SEEDS = 3
NOTES = (
    "points of accuracy on test images against the float network of the same seed and of equal epochs, mean "
    "± standard error; sparsity is that of all layers but the first",
    "dense control: a dense float network of (nearly) the bytes of the network pruned by magnitude, trained "
    "for equal epochs; the same in every table")


@dataclass(frozen=True)
class Table(Cells):
    """The accuracies of every score and sparsity that are finished, by seed."""

    what, file, setting, outcome = "table of curves", "curves.json", Pruning, Accuracies

    def of(self, pruning: Pruning, kind: str) -> list[float]:
        """In percent, of each seed that is finished."""
        return [100 * getattr(one, kind) for (own, _), one in self.found.items() if own == pruning]

    def text(self, kind: str) -> str:
        """A table: a line for each score, a column for each sparsity."""
        head = ("score", *(f"{sparsity:.0%}" for sparsity in SPARSITIES))
        return whole(head, [(curve, *(self._cell(Pruning(curve, sparsity), kind) for sparsity in SPARSITIES))
                            for curve in CURVES])

    def _cell(self, pruning: Pruning, kind: str) -> str:
        points = self.differences(pruning, kind)
        return with_error(points) if points else "–"

    def notes(self) -> list[str]:
        """How to read it."""
        float_ = [f"float: {statistics.fmean(self.floats()):.2f} %, mean of {self.seeds()} seeds"]
        return [*NOTES, *(float_ if self.found else ())]


def run(options: Options) -> Table:
    """Measure what `options.out` does not have yet, and write curves.json and, with the extra `plot`,
    curves.png. Raises as `cells.run` does."""
    table = cells.run(Table, options, CELLS, measured, _epochs)
    curves_chart.draw(table, CURVES, KINDS, options.out / PICTURE)
    return table


def _epochs(budget: Budget, left: list[tuple[Any, int]]) -> int:
    dense = sum(pruning.score == CONTROL for pruning, _ in left)
    from_scratch = dense + len({seed for _, seed in left})
    return (len(left) - dense) * 2 * budget.tune + from_scratch * (budget.base + budget.tune)
