"""digits_cnn with weights and activations of few bits each: quantized after training, and trained so.

The first and the last layer have 8 bits in place of fewer, as is usual (Zhou et al. 2016, "DoReFa-Net", §2.7;
Rastegari et al. 2016): they are small, and what they round is the image, and the answer, itself. Each network
is held against the float network of the same seed and of equal epochs."""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

import compress
import nn

from .. import Quantize, Recipe
from ..formats.format import Grid, format_named
from ..ranges.average import moved
from ..ranges.observer import observer_named
from .experiment import Budget, Data, Tick, Trainer
from .techniques import ENDS, THIRD, in_the_middle

NETWORK = "cnn"
MIDDLE = ("conv2", "conv3")  # its layers but the ENDS
WEIGHTS, ACTIVATIONS = (8, 4, 3, 2, 1, None), (8, 4, 2, 1, None)  # bits; None: float32


@dataclass(frozen=True)
class Bits:
    """Bits of the weights and of the activations of all layers but the first and the last; None: float32."""

    weights: int | None
    activations: int | None

    def recipe(self, **how: Any) -> Recipe:
        """What is attached; `how`: more that Quantize is told of the layers in the middle."""
        close = {"scales": fit(self.weights), "ranges": fit(self.activations)}
        middle = Quantize(self.weights, activations=activations_of(self.activations), **close, **how)
        return in_the_middle(middle, None, 0)


def name(bits: int | None) -> str:
    """How a width is called."""
    return "float" if bits is None else f"{bits}-bit"


def fit(bits: int | None) -> str:
    """How scales and ranges of so many bits are found: few values do better to clip the largest numbers."""
    return "minmax" if bits is None or bits > 4 else "mse"


def activations_of(bits: int | None) -> str | None:
    """The name of the Format of so many bits behind a ReLU."""
    return None if bits is None else f"uint{bits}"


@dataclass(frozen=True)
class Accuracies:
    """Of one seed on the test images: the float network, and the same quantized after its training, and
    trained so for the last of equal epochs."""

    float: float
    after: float
    trained: float


def measured(data: Data, budget: Budget, seed: int, bits: Bits, tick: Tick) -> Accuracies:
    """The accuracies of one pair of bits. Runs in a worker, and is determined by its arguments."""
    trainer = Trainer(data.load(), budget, seed, tick)
    if bits.weights is None:
        return _accuracies(trainer, lambda model: with_rounded_inputs(model, bits, trainer.calibration))
    return with_recipe(data, budget, seed, bits.recipe(), tick)


def with_recipe(data: Data, budget: Budget, seed: int, recipe: Recipe, tick: Tick) -> Accuracies:
    """The same with any recipe for digits_cnn."""
    trainer = Trainer(data.load(), budget, seed, tick)
    return _accuracies(trainer, lambda model: compress.prepare(model, recipe, trainer.calibration))


def _accuracies(trainer: Trainer, prepare: Any) -> Accuracies:
    """Of what `prepare` makes of a copy of the float network in place."""
    base, tuned = floats(trainer.data, trainer.budget, trainer.seed, trainer.tick)
    after, trained = prepare(copy.deepcopy(tuned)), prepare(copy.deepcopy(base))
    trainer.tune(trained, THIRD)

    def accuracy(model: nn.Module) -> float:
        simulated = any(isinstance(part, Rounded) for _, part in model.named_modules())
        runs = model if simulated or model is tuned else trainer.program(model)
        return nn.train.accuracy(runs, trainer.data.x_test, trainer.data.y_test)

    return Accuracies(accuracy(tuned), accuracy(after), accuracy(trained))


_kept: dict[str, Any] = {}  # of a worker: the networks of the last seed, which many tasks start from


def floats(data: nn.data.Digits, budget: Budget, seed: int, tick: Tick) -> tuple[nn.Module, nn.Module]:
    """The float network after the first phase of its training, and after both."""
    key = (budget, seed, len(data.x_train))
    if _kept.get("key") != key:
        trainer = Trainer(data, budget, seed, tick)
        base = trainer.base(NETWORK)
        _kept.update(key=key, networks=(base, trainer.tune(copy.deepcopy(base))))
    return _kept["networks"]


class Rounded(nn.Module):
    """Gives its input as activations of a Format have it, and counts rounding as the identity: for float
    weights, which no kernel multiplies by codes. The range is that of the first batch; in training it
    follows as a moving average."""

    def __init__(self, format: Any, momentum: float = 0.01) -> None:
        self.format, self.momentum = format, momentum
        self.observer = observer_named(fit(format.bits))
        self.range: tuple[float, float] | None = None

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        """x on the grid."""
        if self.range is None or self.training:
            now = self.observer.of_batch(x.data, self.format)
            self.range = now if self.range is None else moved(self.range, now, self.momentum)
        grid: Grid = self.format.fit(*self.range)
        return grid.straight_through(x, grid.dequantize(grid.quantize(x.data)))


def with_rounded_inputs(model: nn.Module, bits: Bits, example: np.ndarray) -> nn.Module:
    """The model, in place, whose layers read activations of these bits and multiply by float weights."""
    for name in (*MIDDLE, *ENDS):
        form = format_named(activations_of(8 if name in ENDS else bits.activations))
        setattr(model, name, nn.Sequential(Rounded(form), getattr(model, name)))
    with nn.no_grad():
        model.eval()(nn.Tensor(example))
    return model
