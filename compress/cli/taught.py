"""Students: small networks that learn from labels, from smoothed ones, or from a full network's soft targets.

Teacher and students see the same images for the same epochs, in the two phases of the main job; a share of
the labels may be wrong, then for all of them. What is compared is paired: of one seed all begin with the same
weights, and see the batches in the same order."""

from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any

import numpy as np

import nn
from nn.functional import cross_entropy

from .experiment import Budget, Data, Tick, Trainer

CLASSES = 10
EIGHTH = 1 / 8  # of the weights: the student that a choice is made by
WAYS = {"smoothed": (0.1, 0.2, 0.3), "soft": (1.0, 2.0, 4.0, 8.0)}  # what validation chooses among


@dataclass(frozen=True)
class Trial:
    """A way that is tried on held-out images: "smoothed" by `value`, or "soft" at this temperature."""

    network: str
    wrong: float
    way: str
    value: float


@dataclass(frozen=True)
class Tried:
    """The accuracies of one seed on held-out images: of the teacher, and of the student."""

    float: float
    student: float


@dataclass(frozen=True)
class Student:
    """A student of a network, with `part` of its weights, where this share of all labels is wrong; and what
    was chosen for it."""

    network: str
    wrong: float
    part: float
    smoothing: float
    temperature: float


@dataclass(frozen=True)
class Accuracies:
    """Of one seed on the test images: of the teacher, and of the student by labels, smoothed and soft."""

    float: float
    hard: float
    smoothed: float
    soft: float


def tried(data: Data, budget: Budget, seed: int, trial: Trial, tick: Tick) -> Tried:
    """What a trial gives with the last fifth of the training images held out, whose labels are wrong as often
    as the others. Runs in a worker, and is determined by its arguments."""
    images = with_wrong_labels(data.load(), trial.wrong, seed)
    trainer = Trainer(images.validation_split(ceil(len(images.x_train) / 5)), budget, seed, tick)
    teacher = _teacher(trainer, trial.network, trial.wrong)
    loss = _loss(trainer, teacher, trial.way, trial.value)
    return Tried(_tested(trainer, teacher), _tested(trainer, _student(trainer, trial.network, EIGHTH, loss)))


def measured(data: Data, budget: Budget, seed: int, student: Student, tick: Tick) -> Accuracies:
    """The accuracies of one student, by each way. Runs in a worker, and is determined by its arguments."""
    trainer = Trainer(with_wrong_labels(data.load(), student.wrong, seed), budget, seed, tick)
    teacher = _teacher(trainer, student.network, student.wrong)
    ways = {"hard": 0.0, "smoothed": student.smoothing, "soft": student.temperature}
    found = {way: _tested(trainer, _student(trainer, student.network, student.part,
                                            _loss(trainer, teacher, way, value)))
             for way, value in ways.items()}
    return Accuracies(_tested(trainer, teacher), **found)


def with_wrong_labels(data: nn.data.Digits, share: float, seed: int) -> nn.data.Digits:
    """The data, this share of its training labels being wrong."""
    y = nn.distill.wrong_labels(data.y_train, share, CLASSES, np.random.default_rng([seed, 1]))
    return data._replace(y_train=y)


def _loss(trainer: Trainer, teacher: nn.Module, way: str, value: float) -> Any:
    if way == "soft":
        logits = nn.distill.record(teacher, trainer.data.x_train)
        return nn.distill.Distillation(logits, temperature=value)
    return partial(cross_entropy, label_smoothing=value)


def _student(trainer: Trainer, network: str, part: float, loss: Any) -> nn.Module:
    return trainer.both(network, trainer.student(network, part), loss=loss)


def _tested(trainer: Trainer, model: nn.Module) -> float:
    return nn.train.accuracy(model, trainer.data.x_test, trainer.data.y_test)


_kept: dict[str, Any] = {}  # of a worker: the teacher that many tasks ask


def _teacher(trainer: Trainer, network: str, wrong: float) -> nn.Module:
    """The full network after both phases."""
    key = (trainer.budget, trainer.seed, len(trainer.data.x_train), network, wrong)
    if _kept.get("key") != key:
        _kept.update(key=key, teacher=trainer.tune(trainer.base(network)))
    return _kept["teacher"]
