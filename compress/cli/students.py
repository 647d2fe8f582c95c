"""`espalier --students`: accuracy against the size of a student, by how it is taught, with right labels and
with wrong ones."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..table import whole
from . import cells, students_chart
from .cells import Cells, standard_error, with_error
from .experiment import Budget
from .job import Options
from .taught import EIGHTH, WAYS, Accuracies, Student, Trial, Tried, measured, tried
from .techniques import PARTS

KINDS = {("cnn", 0.0): "digits_cnn", ("mlp", 0.0): "digits_mlp",
         ("cnn", 0.3): "digits_cnn, 30 % of the labels wrong"}  # network, share of wrong labels
TAUGHT = {"hard": "labels", "smoothed": "smoothed labels", "soft": "the teacher"}
PICTURE = "students.png"
SEEDS = 8
NOTES = (
    "accuracy on test images in percent, mean ± standard error; all are trained for equal epochs, in the two "
    "phases of the main job; columns: the part of the teacher's weights that a student has",
    "the smoothing of labels and the temperature (soft targets 9 : 1 labels) were chosen with the student of "
    "an eighth, on the last fifth of the training images")


@dataclass(frozen=True)
class Trials(Cells):
    """The accuracies of every trial on held-out images, by seed."""

    what, file, setting, outcome = "table of trials", "students-trials.json", Trial, Tried

    def best(self, network: str, wrong: float, way: str) -> float:
        """The value with the best mean over the seeds; of equals the first."""
        def mean(value: float) -> float:
            wanted = Trial(network, wrong, way, value)
            return statistics.fmean(one.student for (trial, _), one in self.found.items() if trial == wanted)

        return max(WAYS[way], key=mean)


@dataclass(frozen=True)
class Table(Cells):
    """The accuracies of every student that is finished, by seed."""

    what, file, setting, outcome = "table of students", "students.json", Student, Accuracies

    def of(self, task: tuple[str, float], part: float, way: str) -> list[float]:
        """In percent, of each seed that is finished; `way` may be "float", the teacher."""
        return [100 * getattr(one, way) for (student, _), one in sorted(self.found.items(), key=_by_seed)
                if ((student.network, student.wrong), student.part) == (task, part)]

    def text(self, task: tuple[str, float]) -> str:
        """A table: a line for each way, a column for each part."""
        head = ("learns from", *(_fraction(part) for part in PARTS), "teacher")
        teacher = _mean(self.teacher(task))
        return whole(head, [(name, *(_mean(self.of(task, part, way)) for part in PARTS), teacher)
                            for way, name in TAUGHT.items()])

    def teacher(self, task: tuple[str, float]) -> list[float]:
        """The accuracies of the teacher, in percent."""
        return next(filter(None, (self.of(task, part, "float") for part in PARTS)), [])

    def notes(self) -> list[str]:
        """How to read it, and what soft targets do for the student of an eighth: paired differences."""
        return [*NOTES, *(self._eighth(task, title) for task, title in KINDS.items()
                          if self.of(task, EIGHTH, "hard"))]

    def _eighth(self, task: tuple[str, float], title: str) -> str:
        teacher, hard, smoothed, soft = (self.of(task, EIGHTH, way)
                                         for way in ("float", "hard", "smoothed", "soft"))

        def against(own: list[float], other: list[float]) -> str:
            return with_error(a - b for a, b in zip(own, other, strict=True))

        gap, closed = (statistics.fmean(own) - statistics.fmean(hard) for own in (teacher, soft))
        share = f", {closed / gap:.0%} of the gap of {gap:.2f}" if gap > 0 else ""
        chosen = next(one for one, _ in self.found if (one.network, one.wrong) == task)
        return (f"{title}, an eighth: the teacher, at temperature {chosen.temperature:g}, gives "
                f"{against(soft, hard)} points over labels{share}, and {against(soft, smoothed)} over labels "
                f"smoothed by {chosen.smoothing:g}, which give {against(smoothed, hard)}; the student is "
                f"{against(soft, teacher)} from its teacher")


def run(options: Options) -> Table:
    """Choose and measure what `options.out` does not have yet, and write students-trials.json, students.json
    and, with the extra `plot`, students.png. Raises as `cells.run` does."""
    trials = cells.run(Trials, replace(options, seeds=options.budget.choosers), trials_of(), tried,
                       _epochs(lambda trial: 1))
    table = cells.run(Table, options, students_of(trials), measured, _epochs(lambda student: len(TAUGHT)))
    students_chart.draw(table, KINDS, TAUGHT, options.out / PICTURE)
    return table


def trials_of() -> list[Trial]:
    """All that is tried."""
    return [Trial(*task, way, value) for task in KINDS for way, values in WAYS.items() for value in values]


def students_of(trials: Trials) -> list[Student]:
    """All that is measured, taught as was chosen."""
    return [Student(*task, part, *(trials.best(*task, way) for way in WAYS)) for task in KINDS
            for part in PARTS]


def _epochs(each: Callable[[Any], int]) -> Callable[[Budget, list[tuple[Any, int]]], int]:
    """The epochs of cells that train so many students each, and of their teachers."""
    def epochs(budget: Budget, left: list[tuple[Any, int]]) -> int:
        teachers = {(seed, one.network, one.wrong) for one, seed in left}
        return (budget.base + budget.tune) * (sum(each(one) for one, _ in left) + len(teachers))
    return epochs


def _by_seed(cell: tuple[tuple[Student, int], Accuracies]) -> int:
    return cell[0][1]


def _fraction(part: float) -> str:
    return f"1/{1 / part:g}"


def _mean(points: list[float]) -> str:
    if not points:
        return "–"
    error = f" ±{standard_error(points):.2f}" if len(points) > 1 else ""
    return f"{statistics.fmean(points):.2f}{error}"
