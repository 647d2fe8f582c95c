"""The training behind the ledger: every function here runs in a worker process and is determined by its
arguments.

Everything is trained in two phases of equal length for whatever is compared: `base` epochs from scratch,
then `tune` epochs with a transform attached, or without one for the float network. Choices are made with
the last part of the training images held out; the test images are read once, in `measure`, after all
files are written.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np

import compress
import nn

from .techniques import NETWORKS, Technique

__all__ = ["Budget", "Data", "Measured", "Result", "choose", "measure", "train"]

Tick = Callable[[int], None]  # told the number of epochs done


@dataclass(frozen=True)
class Budget:
    """Epochs from scratch and epochs of fine-tuning; images an update; learning rate of both phases;
    timing rounds.
    """

    base: int
    tune: int
    batch: int
    base_rate: float
    tune_rate: float
    rounds: int


@dataclass(frozen=True)
class Data:
    """Where the images come from: the shipped digits, or a folder of IDX files; at most `limit` training
    images.
    """

    folder: str | None = None
    limit: int | None = None

    def load(self) -> nn.data.Digits:
        """The images; FileError or OSError if they can't be had."""
        data = nn.data.digits() if self.folder is None else nn.data.mnist(self.folder)
        return data._replace(x_train=data.x_train[: self.limit], y_train=data.y_train[: self.limit])


@dataclass(frozen=True)
class Result:
    """A saved Program: its file, and the errors of its weights (None where a network was only trained)."""

    path: Path
    certified: float | None
    measured: float | None


@dataclass(frozen=True)
class Measured:
    """What a file gave after it was loaded again."""

    accuracy: float
    disk: int
    memory: int
    macs: int
    milliseconds: float
    text: str


def train(
    data: Data, budget: Budget, seed: int, rows: list[tuple[Technique, float | None]], out: Path, tick: Tick
) -> dict[str, Result]:
    """All rows of one network for one seed: train the float network, then everything that starts from it.

    Every Program is saved in `out`; returns label → Result, for each row and each control.
    """
    digits = data.load()
    network = rows[0][0].network
    x, y = digits.x_train, digits.y_train
    base = _fit(
        _network(network, digits, seed), x, y, budget.base, budget.batch, budget.base_rate, seed, tick
    )
    floating = _fit(copy.deepcopy(base), x, y, budget.tune, budget.batch, budget.tune_rate, seed, tick)
    results: dict[str, Result] = {}
    for technique, option in rows:
        label = technique.label(option)
        model = copy.deepcopy(base if technique.trained else floating)
        if technique.recipe is not None:
            steps = budget.tune * ceil(len(x) / budget.batch)
            compress.prepare(model, technique.recipe(option, steps), _calibration(x))
        if technique.trained:
            _fit(model, x, y, budget.tune, budget.batch, budget.tune_rate, seed, tick)
        results[label] = _save(model, x, out / f"{network}-{_slug(label)}-seed{seed}.safetensors")
        if technique.control:
            control = _equal_bytes(network, digits, results[label].path.stat().st_size, seed)
            _fit(control, x, y, budget.base, budget.batch, budget.base_rate, seed, tick)
            _fit(control, x, y, budget.tune, budget.batch, budget.tune_rate, seed, tick)
            name = f"{label}, dense control"
            results[name] = _save(control, x, out / f"{network}-{_slug(name)}-seed{seed}.safetensors")
    return results


def choose(
    data: Data, budget: Budget, seed: int, technique: Technique, tick: Tick
) -> tuple[float, dict[str, float]]:
    """The option with the smallest file that loses at most half a point on held-out training images.

    Returns it with the accuracies that it was chosen by. Where all lose more, the most accurate one is taken.
    """
    digits = data.load().validation_split(max(len(data.load().x_train) // 5, 1))
    x, y = digits.x_train, digits.y_train
    base = _fit(
        _network(technique.network, digits, seed),
        x,
        y,
        budget.base,
        budget.batch,
        budget.base_rate,
        seed,
        tick,
    )
    floating = _fit(copy.deepcopy(base), x, y, budget.tune, budget.batch, budget.tune_rate, seed, tick)
    seen = {"float": nn.train.accuracy(floating, digits.x_test, digits.y_test)}
    accuracies: dict[float, float] = {}
    for option in technique.options:
        model = copy.deepcopy(base)
        steps = budget.tune * ceil(len(x) / budget.batch)
        compress.prepare(model, technique.recipe(option, steps), _calibration(x))
        _fit(model, x, y, budget.tune, budget.batch, budget.tune_rate, seed, tick)
        program = compress.convert(model)
        accuracies[option] = seen[technique.label(option)] = nn.train.accuracy(
            program, digits.x_test, digits.y_test
        )
        if accuracies[option] >= seen["float"] - 0.005:
            return option, seen
    return max(accuracies, key=accuracies.__getitem__), seen


def measure(data: Data, paths: list[Path], timed: list[Path], rounds: int) -> dict[Path, Measured]:
    """Load every file again, in a process that did not write it: accuracy on the test images, bytes, and
    the median time of 256 images for those in `timed`, all in turn (A B C A B C …) so that a drift of the
    machine hits all alike.
    """
    digits = data.load()
    programs = {path: compress.load(path) for path in paths}
    images = np.resize(digits.x_test, (256, *digits.x_test.shape[1:]))
    times: dict[Path, list[float]] = {path: [] for path in timed}
    for _ in range(rounds):
        for path in timed:
            start = time.perf_counter()
            programs[path](images)
            times[path].append(time.perf_counter() - start)
    return {
        path: Measured(
            accuracy=nn.train.accuracy(program, digits.x_test, digits.y_test),
            disk=path.stat().st_size,
            memory=program.nbytes,
            macs=program.macs,
            milliseconds=1000 * statistics.median(times[path]) if path in times else 0.0,
            text=f"{program}\n\n{compress.report(program)}",
        )
        for path, program in programs.items()
    }


def _network(network: str, digits: nn.data.Digits, seed: int, width: float = 1.0) -> nn.Module:
    return NETWORKS[network](width, rng=np.random.default_rng(seed), size=digits.x_train.shape[-1])


def _fit(
    model: nn.Module,
    x: np.ndarray,
    y: np.ndarray,
    epochs: int,
    batch: int,
    rate: float,
    seed: int,
    tick: Tick,
) -> nn.Module:
    optimizer = nn.optim.Adam(model.parameters(), lr=rate)
    steps = ceil(len(x) / batch)
    nn.train.fit(
        model,
        x,
        y,
        epochs=epochs,
        batch_size=batch,
        optimizer=optimizer,
        schedule=nn.train.cosine,
        rng=np.random.default_rng(seed),
        progress=False,
        on_step=lambda step, loss: tick(1) if step % steps == 0 else None,
    )
    return model


def _calibration(x: np.ndarray) -> np.ndarray:
    return x[:512]


def _save(model: nn.Module, x: np.ndarray, path: Path) -> Result:
    errors = compress.weight_errors(model)
    compress.save(compress.convert(model, _calibration(x)), path)
    return Result(path, errors.certified, errors.measured)


def _equal_bytes(network: str, digits: nn.data.Digits, wanted: int, seed: int) -> nn.Module:
    """The dense float network, of the widths that there are, whose file is nearest to `wanted` bytes."""

    def size(width: float) -> int:
        program = compress.convert(_network(network, digits, seed, width), digits.x_train[:1])
        return compress.report(program).on_disk

    widths = [i / 64 for i in range(1, 64)]
    low, high = 0, len(widths) - 1
    while low < high:  # the size grows with the width: the first width that reaches `wanted`
        middle = (low + high) // 2
        low, high = (low, middle) if size(widths[middle]) >= wanted else (middle + 1, high)
    best = min(widths[max(low - 1, 0) : low + 1], key=lambda width: abs(size(width) - wanted))
    return _network(network, digits, seed, best)


def _slug(label: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in label).replace("--", "-").strip("-")
