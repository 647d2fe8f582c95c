"""`espalier --few-labels`: accuracy against the number of labels, by what is made of images without one."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from itertools import product
from typing import Any

from ..table import whole
from . import cells, few_labels_chart
from .cells import Cells, standard_error, with_error
from .experiment import Budget
from .job import Options
from .labelled import AUGMENTED, CONTRASTED, DISTILLED, LABELS, MASKED, METHODS, Accuracy, Labelling, measured

CELLS = [Labelling(method, labels) for method, labels in product(METHODS, LABELS)]
KINDS = {"accuracy": "accuracy on test images, %",
         "difference": "points against supervised training with augmentation"}
PICTURE = "few-labels.png"
SEEDS = 8
FEW = 20  # labels, of which the last notes speak
NOTES = (
    "digits_cnn, mean of {seeds} ± standard error; labels are drawn for each seed, of every class as many; "
    "differences are of equal seeds and labels, and equal steps on the labelled images",
    "contrastive, masked: pre-trained on all training images without a label, then trained with "
    "augmentation; distilled: a second network, taught by what one trained with augmentation says of all "
    "training images")


@dataclass(frozen=True)
class Table(Cells):
    """The accuracy of every method and number of labels that is finished, by seed."""

    what, file, setting, outcome = "table of few labels", "few-labels.json", Labelling, Accuracy

    def of(self, method: str, labels: int | None) -> dict[int, float]:
        """In percent, of each seed that is finished."""
        wanted = Labelling(method, labels)
        return {seed: 100 * one.test for (own, seed), one in self.found.items() if own == wanted}

    def differences(self, method: str, labels: int | None) -> list[float]:
        """In points, of each seed that is finished, against augmentation alone."""
        mine, other = self.of(method, labels), self.of(AUGMENTED, labels)
        return [mine[seed] - other[seed] for seed in sorted(mine.keys() & other.keys())]

    def text(self, kind: str) -> str:
        """A table: a line for each method, a column for each number of labels."""
        head = ("method", *(f"{name(labels)} labels" for labels in LABELS))
        return whole(head, [(method, *(self._cell(method, labels, kind) for labels in LABELS))
                            for method in METHODS])

    def _cell(self, method: str, labels: int | None, kind: str) -> str:
        if kind == "difference":
            points = self.differences(method, labels)
            return with_error(points) if points and method != AUGMENTED else "–"
        points = list(self.of(method, labels).values())
        return with_error(points).removeprefix("+") if points else "–"

    def notes(self) -> list[str]:
        """How to read it, and whether images without labels are of use where there are few."""
        notes = [note.format(seeds=f"{self.seeds()} seeds") for note in NOTES]
        for method in (CONTRASTED, MASKED, DISTILLED):
            points = self.differences(method, FEW)
            if len(points) > 1:
                mean, error = statistics.fmean(points), standard_error(points)
                beyond = "beyond" if abs(mean) > 2 * error else "not beyond"
                verdict = "better" if mean > 0 else "worse"
                notes.append(f"{FEW} labels, {method}: {verdict} than augmentation alone by {abs(mean):.2f} "
                             f"±{error:.2f} points, {beyond} two standard errors")
        return notes


def name(labels: int | None) -> str:
    """How many, in words."""
    return "all" if labels is None else str(labels)


def run(options: Options) -> Table:
    """Measure what `options.out` does not have yet, and write few-labels.json and, with the extra `plot`,
    few-labels.png. Raises as `cells.run` does."""
    table = cells.run(Table, options, CELLS, measured, _trainings)
    few_labels_chart.draw(table, options.out / PICTURE)
    return table


def _trainings(budget: Budget, left: list[tuple[Any, int]]) -> int:
    return len(left)
