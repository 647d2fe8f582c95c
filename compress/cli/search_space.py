"""What a search combines, and how one combination is trained and measured.

A part is one technique. A recipe has at most one part of each axis: how many weights are left, or of which
rank; what a weight is stored as (its codes are coded by rANS, which loses nothing); by whom it is taught."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import ceil
from pathlib import Path

import numpy as np

import compress
import nn

from .. import Cluster, Quantize, Rans, Recipe, TensorTrain, Transform
from ..search.front import Parts, combinations
from . import beside
from .experiment import Budget, Data, Tick, Trainer, equal_bytes
from .pruned import prune
from .techniques import CLOSEST, THIRD

ROUNDS = 7  # of timing
JOINT = " + "
CONTROL = "dense control"
HELD_OUT, TEST = "held out", "test"


@dataclass(frozen=True)
class Part:
    """A technique: what it puts into the chains of the layers in the middle, given the steps of training;
    into that of the layer at the end which is compressed with care; `rate`, at how many times the usual
    learning rate it is trained, None for any; `taught`, whether half of each label is what the float network
    says."""

    middle: Callable[[int], list[Transform]] = lambda steps: []
    end: list[Transform] = field(default_factory=list)
    rate: float | None = None
    taught: bool = False


def _pruned(sparsity: float, rate: float) -> Part:
    return Part(lambda steps: [prune(sparsity, steps)], rate=rate)


def _rank(rank: int) -> Part:
    return Part(lambda steps: [TensorTrain(rank=rank, cores=2)], rate=3.0)


def _stored(how: Transform, rate: float, end: Transform | None = None) -> Part:
    return Part(lambda steps: [how, Rans()], [end or how, Rans()], rate)


STORED = {"int8": _stored(Quantize(), THIRD), "int4": _stored(Quantize(4, **CLOSEST), THIRD, Quantize()),
          "int3": _stored(Quantize(3, **CLOSEST), THIRD, Quantize()),
          "shared 4-bit": _stored(Cluster(4), THIRD), "shared 3-bit": _stored(Cluster(3), THIRD)}
TAUGHT = {"taught": Part(taught=True)}
AXES = {  # network → its axes, of parts by name
    "cnn": ({f"pruned {s:.0%}": _pruned(s, THIRD) for s in (0.8, 0.9, 0.95)}, STORED, TAUGHT),
    "mlp": ({f"pruned {s:.0%}": _pruned(s, 1.0) for s in (0.5, 0.7, 0.9)}
            | {f"rank {rank}": _rank(rank) for rank in (4, 16)}, STORED, TAUGHT)}
END = {"cnn": "conv1", "mlp": "fc3"}  # small, and sees the image, or makes the answer: not pruned, no rank


@dataclass(frozen=True)
class Trial:
    """A recipe of a network, by the names of its parts ("" for none), trained for `epochs` after the first
    phase and measured on held-out images or on the test images; `timed`, whether for speed, too. A recipe may
    be CONTROL: then nothing, to a network so narrow that its file has `nbytes`."""

    network: str
    recipe: str
    epochs: int
    on: str = HELD_OUT
    timed: bool = False
    nbytes: int = 0


@dataclass(frozen=True)
class Accuracies:
    """Of one seed: the float network of equal epochs and the recipe's; bytes of its file, milliseconds for
    256 images in one thread, 0 where it was not timed."""

    float: float
    own: float
    nbytes: float
    milliseconds: float


def candidates(network: str) -> list[Parts]:
    """Every recipe of one part an axis that `compress.Chain` allows."""
    found = []
    for parts in combinations(AXES[network]):
        try:
            recipe(network, parts, 1)
        except ValueError:  # a later part would destroy what an earlier one made
            continue
        found.append(parts)
    return found


def named(network: str, parts: Parts) -> list[Part]:
    """The parts of these names."""
    every = {name: part for axis in AXES[network] for name, part in axis.items()}
    return [every[name] for name in parts]


def recipe(network: str, parts: Parts, steps: int) -> Recipe | None:
    """What is attached for so many steps of training; None where nothing is. Raises ValueError for parts that
    can't follow each other."""
    some = named(network, parts)
    middle = [one for part in some for one in part.middle(steps)]
    end = [one for part in some for one in part.end]
    return Recipe({"*": middle, END[network]: end or None}) if middle else None


def rate(network: str, parts: Parts) -> float:
    """At how many times the usual learning rate these parts are trained together: the least of theirs."""
    return min((part.rate for part in named(network, parts) if part.rate is not None), default=1.0)


def measured(data: Data, budget: Budget, seed: int, trial: Trial, tick: Tick) -> Accuracies:
    """The accuracies of one trial. Runs in a worker, and is determined by its arguments but for the time. A
    recipe whose training diverges gets nothing right, in the bytes and the time of the float network."""
    images = _images(data, trial.on)
    float_, tuned = _float(data, replace(budget, tune=trial.epochs), seed, trial.network, trial.on)
    try:
        program, diverged = made(data, budget, seed, trial, tick), False
    except nn.train.Diverged:
        program, diverged = compress.convert(tuned, images.x_train[:512]), True
    milliseconds = 0.0
    if trial.timed:
        x = np.resize(images.x_test, (256, *images.x_test.shape[1:]))
        both = {Path("float"): compress.convert(tuned, images.x_train[:512]), Path("own"): program}
        milliseconds = beside.times(both, x, ROUNDS)[Path("own")].milliseconds
    own = 0.0 if diverged else nn.train.accuracy(program, images.x_test, images.y_test)
    return Accuracies(float_, own, float(compress.report(program).on_disk), milliseconds)


def made(data: Data, budget: Budget, seed: int, trial: Trial, tick: Tick) -> compress.Program:
    """The Program of one trial."""
    budget = replace(budget, tune=trial.epochs)
    trainer = Trainer(_images(data, trial.on), budget, seed, tick)
    if trial.recipe == CONTROL:
        control = equal_bytes(trainer, trial.network, trial.nbytes)
        return trainer.program(trainer.tune(trainer.base(trial.network, control)))
    if not trial.recipe:
        return trainer.program(_float(data, budget, seed, trial.network, trial.on)[1])
    parts = tuple(trial.recipe.split(JOINT))
    how = {}
    if any(part.taught for part in named(trial.network, parts)):
        teacher = _float(data, budget, seed, trial.network, trial.on)[1]
        logits = nn.distill.record(teacher, trainer.data.x_train)
        how = {"loss": nn.distill.Distillation(logits, temperature=1, soft=0.5)}
    model = copy.deepcopy(_base(data, replace(budget, tune=0), seed, trial.network, trial.on))
    attached = recipe(trial.network, parts, trainer.steps * trial.epochs)
    if attached is not None:
        compress.prepare(model, attached, trainer.calibration)
    return trainer.program(trainer.tune(model, rate(trial.network, parts), **how))


def save(data: Data, budget: Budget, seed: int, trial: Trial, path: Path) -> int:
    """Write the Program of a trial; returns its bytes."""
    return compress.save(made(data, budget, seed, trial, lambda epochs: None), path)


def _images(data: Data, on: str) -> nn.data.Digits:
    whole = data.load()
    return whole if on == TEST else whole.validation_split(ceil(len(whole.x_train) / 5))


@lru_cache(maxsize=16)
def _base(data: Data, budget: Budget, seed: int, network: str, on: str) -> nn.Module:
    """The float network after the first phase. Kept in a worker: many trials start from it."""
    return Trainer(_images(data, on), budget, seed, lambda epochs: None).base(network)


@lru_cache(maxsize=16)
def _float(data: Data, budget: Budget, seed: int, network: str, on: str) -> tuple[float, nn.Module]:
    """The float network after both phases, and its accuracy."""
    images = _images(data, on)
    model = copy.deepcopy(_base(data, replace(budget, tune=0), seed, network, on))
    Trainer(images, budget, seed, lambda epochs: None).tune(model)
    return nn.train.accuracy(model, images.x_test, images.y_test), model
