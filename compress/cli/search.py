"""`espalier search`: the recipe that meets a goal, by successive halving on held-out images.

What is chosen is trained once more on all training images and then measured on the test images, beside a
dense network of equal bytes; nothing else is."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nn

from ..search.front import Parts, additive, pareto_front
from ..search.goal import Goal, Outcome
from ..search.halving import Rung, rungs, successive_halving
from ..table import whole
from . import cells, outputs, search_chart, search_space
from .cells import Cells, Measuring, with_error
from .job import Options
from .search_space import CONTROL, HELD_OUT, JOINT, TEST, Accuracies, Trial

SEEDS = 3
PICTURE = "search.png"


@dataclass(frozen=True)
class Table(Cells):
    """The accuracies of every trial that is finished, by seed."""

    what, file, setting, outcome = "search", "search.json", Trial, Accuracies

    @classmethod
    def cell(cls, read: Any) -> tuple[tuple[Trial, int], Accuracies]:
        """As of every table, but a file has bytes, and a run takes time, if it was timed."""
        (trial, seed), one = super().cell(read)
        if not one.nbytes or bool(one.milliseconds) != trial.timed:
            raise ValueError(f"search: a file of {one.nbytes} bytes, a run of {one.milliseconds} ms")
        return (trial, seed), one

    def of(self, trial: Trial, seeds: Sequence[int]) -> list[Accuracies]:
        """Of each seed."""
        return [self.found[trial, seed] for seed in seeds]

    def mean(self, trial: Trial, seeds: Sequence[int]) -> Outcome:
        """Over the seeds."""
        each = self.of(trial, seeds)
        milliseconds = statistics.fmean(one.milliseconds for one in each) if trial.timed else None
        nbytes = statistics.fmean(one.nbytes for one in each)
        return Outcome(statistics.fmean(points(each)), nbytes, milliseconds)


@dataclass(frozen=True)
class Search:
    """What a search found. rounds: those of successive halving; last: the outcomes of all that were trained
    for as long as the last round, the float network () and single parts too; chosen: the recipe that reaches
    the goal, or None; nearest: where there is none, what comes nearest and what it misses."""

    table: Table
    goal: Goal
    network: str
    seeds: tuple[int, ...]
    rounds: list[Rung[Parts]]
    last: dict[Parts, Outcome]
    chosen: Parts | None
    nearest: dict[Parts, str]

    @property
    def cost(self) -> str:
        """What the front is drawn over."""
        return "nbytes" if self.goal.milliseconds is None else "milliseconds"

    def trial(self, parts: Parts, on: str = HELD_OUT) -> Trial:
        """As long as the last round."""
        return Trial(self.network, JOINT.join(parts), self.rounds[-1].epochs, on,
                     self.goal.milliseconds is not None)

    def control(self, nbytes: float) -> Trial:
        """A dense network of so many bytes, on the test images."""
        return Trial(self.network, CONTROL, self.rounds[-1].epochs, TEST,
                     self.goal.milliseconds is not None, round(nbytes))

    def text(self) -> str:
        """A table: a line for each recipe of the last round and each of their parts, the smallest first."""
        front, timed = set(pareto_front(self.last, self.cost)), self.goal.milliseconds is not None
        head = ("recipe", "points", "bytes", "× smaller", *(["ms"] if timed else []), "if parts add up",
                "bytes", "front", "goal")
        lines = []
        for parts, one in sorted(self.last.items(), key=lambda item: item[1].nbytes):
            sums = additive(parts, self.last) if len(parts) > 1 else None
            predicted = ("–", "–") if sums is None else (f"{sums.points:+.2f}", f"{sums.nbytes:,.0f}")
            spread = with_error(points(self.table.of(self.trial(parts), self.seeds)))
            lines.append((JOINT.join(parts) or "float", spread, f"{one.nbytes:,.0f}",
                          f"{self.last[()].nbytes / one.nbytes:.2f}",
                          *([f"{one.milliseconds:.3f}"] if timed else []), *predicted,
                          "●" if parts in front else "", "reached" if self.goal.reached(one) else ""))
        return whole(head, lines)

    def notes(self) -> list[str]:
        """What was searched, what is chosen, and what it does on the test images; or what is nearest."""
        count = [f"{len(rung.outcomes)} for {_many(rung.epochs, 'epoch')}" for rung in self.rounds]
        notes = [f"goal: {self.goal}; halving: {', '.join(count)}, and the parts of what was left; points: "
                 "on held-out training images against the float network of equal seed and epochs, mean of "
                 f"{_many(len(self.seeds), 'seed')} ± standard error; if parts add up: points add, and the "
                 "ratios of bytes multiply"]
        if self.chosen is None:
            notes.append("nothing reaches the goal; the nearest:")
            notes += [f"  {JOINT.join(parts) or 'float'}: {missed}" for parts, missed in self.nearest.items()]
            return notes
        notes.append(f"chosen: {JOINT.join(self.chosen) or 'float'}; on the test images, by which nothing "
                     "was chosen:")
        own = self.trial(self.chosen, TEST)
        for trial in (own, self.control(self.table.mean(own, self.seeds).nbytes)):
            each, mean = self.table.of(trial, self.seeds), self.table.mean(trial, self.seeds)
            accuracy = statistics.fmean(100 * one.own for one in each)
            time = "" if mean.milliseconds is None else f", {mean.milliseconds:.3f} ms"
            notes.append(f"  {trial.recipe or 'float'}: {accuracy:.2f} %, {with_error(points(each))} points "
                         f"against float, {mean.nbytes:,.0f} bytes{time}")
        return notes

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {"goal": vars(self.goal), "network": self.network, "seeds": list(self.seeds),
                "chosen": None if self.chosen is None else JOINT.join(self.chosen),
                "nearest": {JOINT.join(parts): missed for parts, missed in self.nearest.items()},
                "front": [JOINT.join(parts) for parts in pareto_front(self.last, self.cost)],
                **self.table.to_json()}


def points(each: Sequence[Accuracies]) -> list[float]:
    """Of accuracy, against the float network of the same seed."""
    return [100 * (one.own - one.float) for one in each]


def file(network: str) -> str:
    """The name of what is chosen, in --out."""
    return f"search-{network}.safetensors"


def run(options: Options, goal: Goal, network: str) -> Search:
    """Search, and write search.json, the Program of what is chosen and, with the extra `plot`, search.png.
    What `options.out` has already is not measured again, whatever the goal was. Raises what `cells.opened`
    does, and nn.FileError where the Program would overwrite what is none."""
    table, timed = cells.opened(Table, options), goal.milliseconds is not None
    path = options.out / file(network)
    if path.exists() and not outputs.free(path):
        raise nn.FileError(f"--out: {str(path)!r} is not of a run of ours; choose another --out")
    seeds = tuple(range(options.seed, options.seed + options.seeds))
    every, most = search_space.candidates(network), options.budget.tune
    with Measuring(table, options, search_space.measured, _total(len(every), most) * len(seeds)) as measure:

        def outcomes(some: Sequence[Parts], epochs: int) -> list[Outcome]:
            trials = [Trial(network, JOINT.join(parts), epochs, timed=timed) for parts in some]
            measure((trial, seed) for trial in trials for seed in seeds)
            return [table.mean(trial, seeds) for trial in trials]

        rounds = successive_halving(every, outcomes, goal.key, most)
        last = dict(rounds[-1].outcomes)
        alone = dict.fromkeys((part,) for parts in last for part in parts)
        more = [parts for parts in ((), *alone) if parts not in last]
        last |= zip(more, outcomes(more, most), strict=True)
        best = min(last, key=lambda parts: goal.key(last[parts]))
        chosen = best if goal.reached(last[best]) else None
        found = Search(table, goal, network, seeds, rounds, last, chosen,
                       {} if chosen is not None else goal.nearest(last))
        if chosen is not None:
            _test(found, measure, path)
    search_chart.draw(found, options.out / PICTURE)
    return found


def _test(found: Search, measure: Measuring, path: Path) -> None:
    """Measure what was chosen on the test images, and a dense network of its bytes; save the first seed's."""
    own = found.trial(found.chosen, TEST)
    measure((own, seed) for seed in found.seeds)
    control = found.control(found.table.mean(own, found.seeds).nbytes)
    measure((control, seed) for seed in found.seeds)
    options = measure.options
    measure.workers.alone(search_space.save, cells.data_of(options), options.budget, found.seeds[0], own,
                          path)


def _total(candidates: int, most: int) -> int:
    """Epochs of a seed, for the progress bar: the rounds, as many parts as recipes are left, the test."""
    rounds = rungs(candidates, most)
    return sum(number * epochs for number, epochs in rounds) + (rounds[-1][0] + 3) * most


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
