"""The loss of a student: soft targets of its teacher, mixed with the labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arguments import number
from ..module import Module
from ..objective import BatchLoss, loss_of_batch
from ..tensor import Tensor
from .soft import LIMITS, soft_loss, soft_targets
from .teacher import Teacher, Teachers


class Distillation(BatchLoss):
    """soft · T²·KL(teacher at T ‖ student at T) + (1 − soft) · cross-entropy of the labels, for
    `fit(student, …, loss=Distillation(teacher))` (Hinton, Vinyals & Dean 2015, §2).

    teacher: a Module, or a function of arrays (a compress.Program), which is run on each batch as it is
    trained on, augmented or not; the array that nn.distill.record made of the training's x; or a list of
    those, of which the student learns the mean. temperature: T > 0, in units of the logits. soft: the part of
    the soft targets, from 0 (labels alone) to 1 (labels are not looked at: y may be anything, for an x that
    has none). Logits are (N, classes) for y (N,), or token by token (N, T, classes) for y (N, T): the loss is
    then the mean over all tokens. Raises TypeError or ValueError for a temperature or a part that is none,
    and, in the first step, for a teacher of other classes than the student's.
    """

    def __init__(self, teacher: Teacher, *, temperature: float = 4.0, soft: float = 0.9) -> None:
        self.teachers = Teachers("Distillation", teacher)
        self.temperature = number("Distillation", "temperature", temperature, *LIMITS, closed=True)
        self.soft = number("Distillation", "soft", soft, 0, 1, closed=True)

    def __call__(self, model: Module, inputs: np.ndarray, targets: np.ndarray,
                 rows: np.ndarray | None) -> tuple[Any, Tensor]:
        """The student's outputs for a batch, and the loss."""
        teacher_logits = self.teachers.logits(inputs, rows)
        if self.soft == 1:
            outputs, loss = model(Tensor(inputs)), 0.0
        else:
            outputs, hard = loss_of_batch(None, model, inputs, targets)
            loss = (1 - self.soft) * hard
        wanted = teacher_logits[0].shape
        if not isinstance(outputs, Tensor) or outputs.shape != wanted:
            got = getattr(outputs, "shape", type(outputs).__name__)
            raise ValueError(f"Distillation: the student gives {got}, the teacher {wanted}; wanted logits "
                             "(N, classes) of both, or (N, T, classes), of the same classes")
        t = self.temperature
        return outputs, loss + self.soft * soft_loss(outputs, soft_targets(teacher_logits, t), t)

    def check(self, model: Module, x: np.ndarray, y: np.ndarray) -> None:
        """Raises ValueError for a teacher that was recorded for another number of examples."""
        self.teachers.check(len(x))

    def __repr__(self) -> str:
        return f"Distillation({self.teachers!r}, temperature={self.temperature:g}, soft={self.soft:g})"
