"""What training makes small: a loss of the outputs for a batch, and perhaps a penalty on the model itself."""

from collections.abc import Callable
from typing import Any

import numpy as np

from . import functional as F
from .module import Module
from .tensor import Tensor


class Objective:
    """The loss of `model` for a batch: cross-entropy, or `loss(outputs, targets)`, plus `penalty(model)`.
    counts: whether the targets are classes (or probabilities), so that outputs (N, classes) can be right."""

    def __init__(self, model: Module, loss: Callable[[Any, Tensor], Tensor] | None = None,
                 penalty: Callable[[Module], Tensor] | None = None, counts: bool = True) -> None:
        self.model, self.loss, self.penalty, self.counts = model, loss, penalty, counts

    def __call__(self, inputs: np.ndarray, targets: np.ndarray) -> tuple[Tensor, int | None]:
        """The loss, a scalar, and in how many rows the class has the largest output (None without classes).
        Raises ValueError for outputs that do not fit the targets, TypeError or ValueError for a loss or a
        penalty that is not a scalar Tensor."""
        outputs = self.model(Tensor(inputs))
        total = (_cross_entropy(outputs, targets) if self.loss is None else
                 _scalar("loss", self.loss(outputs, Tensor(targets))))
        if self.penalty is not None:
            total = total + _scalar("penalty", self.penalty(self.model))
        return total, self._right(outputs, targets)

    def _right(self, outputs, targets):
        if not self.counts or not isinstance(outputs, Tensor) or outputs.ndim != 2 or targets.ndim > 2:
            return None
        likeliest = targets if targets.ndim == 1 else targets.argmax(axis=1)
        return int(np.count_nonzero(outputs.data.argmax(axis=1) == likeliest))


def _cross_entropy(logits, classes):
    if logits.ndim != 2:
        raise ValueError(f"the model must give logits (N, classes), got {logits.shape}")
    if classes.ndim == 2 and classes.shape != logits.shape:
        raise ValueError(f"y has probabilities {classes.shape}, but the model logits {logits.shape}")
    if classes.ndim == 1 and classes.max() >= logits.shape[1]:
        raise ValueError(f"y has the class {classes.max()}, but the model has {logits.shape[1]} outputs")
    return F.cross_entropy(logits, classes)


def _scalar(name, value):
    """The result of a user's function as a scalar, after a check that it is one."""
    if not isinstance(value, Tensor):
        raise TypeError(f"fit: {name} must give a scalar Tensor, it gave a {type(value).__name__}")
    if value.size != 1:
        raise ValueError(f"fit: {name} must give a scalar Tensor, it gave one of shape {value.shape}")
    return value.reshape(())
