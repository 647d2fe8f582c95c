"""What is measured in cells: each setting and each seed is a task of its own; what is finished is in a file
at once, and a run that was cut off goes on from there."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import as_completed
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_type_hints

import nn
from nn.arguments import ERRORS, count, number
from nn.files import write_bytes

from ..interrupt import on_interrupt
from . import outputs
from .experiment import Budget, Data
from .job import Options, machine
from .workers import Workers

Own = TypeVar("Own", bound="Cells")
LARGEST = 2.0**53  # of what a file of cells says: bytes, steps


@dataclass(frozen=True)
class Cells:
    """The accuracies of every setting that is finished, by seed. A subclass says what they are called, in
    which file of --out they are, and by which dataclasses a setting and its accuracies are written there."""

    what: ClassVar[str]
    file: ClassVar[str]
    setting: ClassVar[type]
    outcome: ClassVar[type]

    settings: dict[str, Any]
    found: dict[tuple[Any, int], Any]

    def floats(self) -> list[float]:
        """The accuracy of each seed's float network, in percent."""
        return list({seed: 100 * one.float for (_, seed), one in self.found.items()}.values())

    def seeds(self) -> int:
        """How many there are."""
        return len({seed for _, seed in self.found})

    def differences(self, setting: Any, kind: str) -> list[float]:
        """In points, of each seed that is finished: its accuracy of this `kind` less its float network's."""
        found = [one for (own, _), one in self.found.items() if own == setting]
        return [100 * (getattr(one, kind) - one.float) for one in found]

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        cells = [{**asdict(setting), "seed": seed, "accuracies": asdict(one)}
                 for (setting, seed), one in self.found.items()]
        return {"cells": cells, "settings": self.settings, "machine": machine()}

    @classmethod
    def read(cls: type[Own], path: Path, settings: dict[str, Any]) -> Own:
        """What an earlier run with these settings has found, nothing if there was none. Raises nn.FileError
        for a file that is no such table, or one of other settings."""
        if not path.exists():
            return cls(settings, {})
        try:
            read: Any = json.loads(path.read_bytes())
            found, theirs = dict(map(cls.cell, read["cells"])), read["settings"]
        except (*ERRORS, KeyError, RecursionError):
            why = f"{str(path)!r} is not of a run of ours"
            raise nn.FileError(f"--out: {why}; choose another --out") from None
        if theirs != settings:
            why = f"{str(path)!r} is a {cls.what} of other data or epochs"
            raise nn.FileError(f"--out: {why}; choose another --out")
        return cls(settings, found)

    @classmethod
    def cell(cls, read: Any) -> tuple[tuple[Any, int], Any]:
        """A setting and its seed, and their accuracies, of a cell as `to_json` has it. Raises one of ERRORS
        or KeyError for what is none: JSON has NaN, too, and numbers that no float can hold."""
        setting = {name: _value(name, read[name], kind) for name, kind in get_type_hints(cls.setting).items()}
        outcome = {name: number(cls.what, name, value, 0, LARGEST)
                   for name, value in read["accuracies"].items()}
        return (cls.setting(**setting), count(cls.what, "seed", read["seed"], 0)), cls.outcome(**outcome)

    def kept(self, out: Path) -> str:
        """What a run that ends now leaves, in words."""
        if not self.found:
            return "nothing was written"
        where = out / self.file
        return f"kept: results of {len(self.found)} cells in {where}; the same command goes on from there"


def _value(name: str, value: Any, kind: Any) -> Any:
    """A value of a setting, of the type that it is declared with. Raises TypeError or ValueError for one of
    another, and for NaN and infinity."""
    if kind is float:
        return number("setting", name, value, -LARGEST, LARGEST)
    if isinstance(value, bool) != (kind is bool) or not isinstance(value, kind):
        raise TypeError(f"setting: {name} must be {kind}, got {value!r}")
    return value


class Measuring:
    """Workers that measure cells, while the block runs, and a bar of so many `epochs` for them. What is done
    is in `cells` and in the file at once.

    measured(data, budget, seed, setting, tick) runs in a worker. Raises nn.FileError where another run is at
    work in the same folder."""

    def __init__(self, cells: Cells, options: Options, measured: Callable[..., Any], epochs: int) -> None:
        self.cells, self.options, self.measured, self.epochs = cells, options, measured, epochs

    def __enter__(self) -> Measuring:
        self.entered = ExitStack()
        self.entered.enter_context(outputs.alone(self.options.out))
        self.entered.enter_context(on_interrupt(lambda: self.cells.kept(self.options.out)))
        return self

    def __call__(self, wanted: Iterable[tuple[Any, int]]) -> None:
        """Measure what is missing of these settings and seeds."""
        left = [one for one in wanted if one not in self.cells.found]
        if not left:
            return
        data, budget, path = data_of(self.options), self.options.budget, self.options.out / self.cells.file
        asked = {self.workers.submit(self.measured, data, budget, seed, setting): (setting, seed)
                 for setting, seed in left}
        for done in as_completed(asked):
            self.cells.found[asked[done]] = done.result()
            write_bytes(path, (json.dumps(self.cells.to_json(), indent=1) + "\n").encode())

    @cached_property
    def workers(self) -> Workers:
        """They are started when there is something to do for them."""
        return self.entered.enter_context(Workers(self.options.threads, self.epochs))

    def __exit__(self, *failure: object) -> None:
        self.entered.close()


def data_of(options: Options) -> Data:
    """The images that the options name, few of them in a quick run."""
    return Data(options.data, limit=400 if options.quick else None)


def opened(kind: type[Own], options: Options) -> Own:
    """What is there in `options.out`, which is made where there is none. Raises OSError or nn.FileError for
    data that can't be read, a folder that can't be written, or one that holds a file of something else by
    that name."""
    out, images = options.out, len(data_of(options).load().x_train)
    settings = {"budget": asdict(options.budget), "images": images, "data": options.data}
    if out.exists() and not out.is_dir():
        raise nn.FileError(f"--out: {str(out)!r} is a file, not a folder")
    out.mkdir(parents=True, exist_ok=True)
    outputs.check_writable(out)
    return kind.read(out / kind.file, settings)


def run(kind: type[Own], options: Options, wanted: Sequence[Any], measured: Callable[..., Any],
        epochs: Callable[[Budget, list[tuple[Any, int]]], int]) -> Own:
    """Measure the settings `wanted` for the seeds of `options`, but for what `options.out` has already.

    measured: as of `Measuring`. epochs(budget, cells) is how many there are to train, for the progress bar.
    Raises what `opened` does."""
    cells = opened(kind, options)
    seeds = range(options.seed, options.seed + options.seeds)
    left = [(one, seed) for seed in seeds for one in wanted if (one, seed) not in cells.found]
    with Measuring(cells, options, measured, epochs(options.budget, left)) as measure:
        measure(left)
    return cells


def with_error(points: Iterable[float]) -> str:
    """The mean of differences ± its standard error."""
    points = list(points)
    error = f" ±{standard_error(points):.2f}" if len(points) > 1 else ""
    return f"{statistics.fmean(points):+.2f}{error}"


def standard_error(points: list[float]) -> float:
    """Of the mean."""
    return statistics.stdev(points) / len(points) ** 0.5
