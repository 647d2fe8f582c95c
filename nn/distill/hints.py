"""Hints: layers in the middle of a student learn from layers of its teacher."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from .. import functional as F
from ..arguments import instance, number
from ..context import no_grad
from ..layers import Conv2d, Linear
from ..module import Module, in_mode
from ..objective import AnyLoss, BatchLoss, loss_of_batch
from ..parameter import Parameter
from ..resume import described
from ..tensor import Tensor
from .outputs import capture, layers_named, only_output
from .teacher import Teachers


class Hints(BatchLoss):
    """weight · Σ mean (r(student's layer) − teacher's layer)² over pairs of layers, and perhaps another loss
    (Romero et al. 2015, "FitNets: hints for thin deep nets", eq. 3, but for the constant factor of a mean).

        hints = Hints(student, teacher, {"bn2": "bn2"}, x[:1], rng=rng)               # stage 1: hints alone
        hints = Hints(student, teacher, {"bn2": "bn2"}, x[:1], rng=rng, loss=Distillation(teacher))  # or both
        optimizer = nn.optim.Adam([*student.parameters(), *hints.parameters()], lr=1e-3)

    layers: paths in the student to paths in the teacher, as many pairs as wanted. r is a regressor, trained
    with the student and thrown away after it: a thin layer can't equal a wide one. It is there where the
    shapes on the `example`, images (N, …) of any number, differ: linear for outputs (N, …, F), a convolution
    for (N, C, H, W), as large as it takes to come from H×W to no more than that (§2.2). loss: what is made
    small besides, as fit takes it; None: nothing. rng: draws the regressors; nn.random.generator() if None.
    Raises TypeError or ValueError for layers that are not there, run not once, or can't be regressed.
    """

    def __init__(self, student: Module, teacher: Module, layers: Mapping[str, str], example: np.ndarray, *,
                 weight: float = 1.0, loss: AnyLoss | None = None,
                 rng: np.random.Generator | None = None) -> None:
        for name, value in (("student", student), ("teacher", teacher)):
            instance("Hints", name, value, Module, "a Module")
        instance("Hints", "example", example, np.ndarray, "an array of images (N, …)")
        instance("Hints", "loss", loss, (Callable, type(None)), "a function, a BatchLoss or None")
        if not isinstance(layers, Mapping) or not layers:
            raise ValueError(f"Hints: layers must map layers of the student to layers of the teacher, got "
                             f"{layers!r}")
        self.teacher, self.layers, self.loss = teacher, dict(layers), loss
        self.weight = number("Hints", "weight", weight)
        own, theirs = self._layers(student)
        if {id(one) for one in own.values()} & {id(one) for one in theirs.values()}:
            raise ValueError("Hints: the student and the teacher share a layer, which has nothing to learn")
        _, (student_outputs,) = capture(lambda: _evaluated(student, example), own)
        _, (teacher_outputs,) = capture(lambda: _evaluated(teacher, example), theirs)
        self.regressors = {
            name: _regressor(name, only_output("Hints", "the student's", name, student_outputs[name]).shape,
                             only_output("Hints", "the teacher's", other, teacher_outputs[other]).shape, rng)
            for name, other in self.layers.items()}

    def parameters(self) -> Iterator[Parameter]:
        """Those of the regressors, and of the other loss."""
        for regressor in self.regressors.values():
            if regressor is not None:
                yield from regressor.parameters()
        if isinstance(self.loss, BatchLoss):
            yield from self.loss.parameters()

    def __call__(self, model: Module, inputs: np.ndarray, targets: np.ndarray,
                 rows: np.ndarray | None) -> tuple[Any, Tensor]:
        """The student's outputs for a batch, and the loss."""
        own, theirs = self._layers(model)

        def run() -> tuple[Any, Tensor | float]:
            if self.loss is None:
                return model(Tensor(inputs)), 0.0
            return loss_of_batch(self.loss, model, inputs, targets, rows)

        (outputs, total), (student_outputs, teacher_outputs) = capture(run, own, theirs)
        if not any(teacher_outputs.values()):  # the other loss has not run this teacher
            _, (teacher_outputs,) = capture(lambda: _evaluated(self.teacher, inputs), theirs)
        for name, other in self.layers.items():
            mine = only_output("Hints", "the student's", name, student_outputs[name])
            if not mine.requires_grad:
                raise ValueError(f"Hints: no gradient reaches the student's layer {name!r}: it is frozen, or "
                                 "inside of nn.checkpoint")
            regressor = self.regressors[name]
            mine = mine if regressor is None else regressor(mine)
            hint = only_output("Hints", "the teacher's", other, teacher_outputs[other]).detach()
            total = total + self.weight * F.mse_loss(mine, hint)
        return outputs, total

    def check(self, model: Module, x: np.ndarray, y: np.ndarray) -> None:
        """Raises ValueError for a model without these layers, and what the other loss does."""
        self._layers(model)
        if isinstance(self.loss, BatchLoss):
            self.loss.check(model, x, y)

    def _layers(self, student: Module) -> tuple[dict[str, Module], dict[str, Module]]:
        return (layers_named("Hints", "the student", student, self.layers),
                layers_named("Hints", "the teacher", self.teacher, self.layers.values()))

    def __repr__(self) -> str:
        return (f"Hints({Teachers('Hints', self.teacher)!r}, {self.layers}, weight={self.weight:g}, "
                f"{described(loss=self.loss)})")


def _evaluated(model: Module, inputs: np.ndarray) -> Any:
    def run() -> Any:
        with no_grad():
            return model(Tensor(inputs))

    return in_mode(model, False, run)


def _regressor(name: str, own: tuple[int, ...], theirs: tuple[int, ...],
               rng: np.random.Generator | None) -> Module | None:
    """From outputs of one shape to those of another, their first axis being that of the examples."""
    if own == theirs:
        return None
    if len(own) == len(theirs) == 4 and own[2] >= theirs[2] and own[3] >= theirs[3]:
        window = (own[2] - theirs[2] + 1, own[3] - theirs[3] + 1)
        return Conv2d(own[1], theirs[1], window, rng=rng)
    if len(own) == len(theirs) in (2, 3) and own[:-1] == theirs[:-1]:
        return Linear(own[-1], theirs[-1], rng=rng)
    raise ValueError(f"Hints: no regressor leads from the student's layer {name!r}, {own}, to {theirs}; "
                     "wanted (N, …, F) with all but F equal, or (N, C, H, W), the student's H×W not smaller")
