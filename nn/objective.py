"""What training makes small: a loss of a batch, of its outputs alone or of more, and perhaps a penalty on the
model itself."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from . import functional as F
from .module import Module
from .parameter import Parameter
from .tensor import Tensor


class BatchLoss(ABC):
    """A loss of more than a batch's outputs and targets: of a teacher's logits for its inputs, or of
    outputs of the model's layers (nn.distill). It runs the model itself, so that it can capture them. How it
    prints is what a checkpoint knows it by."""

    @abstractmethod
    def __call__(self, model: Module, inputs: np.ndarray, targets: np.ndarray,
                 rows: np.ndarray | None) -> tuple[Any, Tensor]:
        """The outputs of `model` for a batch, and the loss, a scalar Tensor. rows: which of the rows of x
        that `fit` was given these are; None where they were augmented, and so are others."""

    def parameters(self) -> Iterator[Parameter]:
        """What is trained besides the model: parameters of the loss itself."""
        return iter(())

    def check(self, model: Module, x: np.ndarray, y: np.ndarray) -> None:  # noqa: B027 -- most need none
        """Before a training on x and y. Raises ValueError for what the loss can't be of."""


AnyLoss: TypeAlias = Callable[[Any, Tensor], Tensor] | BatchLoss


def loss_of_batch(loss: AnyLoss | None, model: Module, inputs: np.ndarray, targets: np.ndarray,
                  rows: np.ndarray | None = None) -> tuple[Any, Tensor]:
    """The outputs of `model` for a batch, and cross-entropy (None), `loss(outputs, targets)` or a BatchLoss.
    Raises ValueError for outputs that do not fit the targets, TypeError or ValueError for a loss that is not
    a scalar Tensor."""
    if isinstance(loss, BatchLoss):
        outputs, value = loss(model, inputs, targets, rows)
        return outputs, _scalar("loss", value)
    outputs = model(Tensor(inputs))
    if loss is None:
        return outputs, _cross_entropy(outputs, targets)
    return outputs, _scalar("loss", loss(outputs, Tensor(targets)))


class Objective:
    """The loss of `model` for a batch (see loss_of_batch), plus `penalty(model)`. counts: whether the targets
    are classes (or probabilities), so that outputs (N, classes) can be right."""

    def __init__(self, model: Module, loss: AnyLoss | None = None,
                 penalty: Callable[[Module], Tensor] | None = None, counts: bool = True) -> None:
        self.model, self.loss, self.penalty, self.counts = model, loss, penalty, counts

    def __call__(self, inputs: np.ndarray, targets: np.ndarray,
                 rows: np.ndarray | None = None) -> tuple[Tensor, int | None]:
        """The loss, a scalar, and in how many rows the class has the largest output (None without classes).
        Raises as loss_of_batch does, and for a penalty that is not a scalar Tensor."""
        outputs, total = loss_of_batch(self.loss, self.model, inputs, targets, rows)
        if self.penalty is not None:
            total = total + _scalar("penalty", self.penalty(self.model))
        return total, self._right(outputs, targets)

    def _right(self, outputs, targets):
        if not self.counts or not isinstance(outputs, Tensor) or outputs.ndim != 2 or targets.ndim > 2:
            return None
        likeliest = targets if targets.ndim == 1 else targets.argmax(axis=1)
        return int(np.count_nonzero(outputs.data.argmax(axis=1) == likeliest))


def _cross_entropy(logits, classes):
    if not isinstance(logits, Tensor):
        raise TypeError(f"the model must give logits, a Tensor, got {type(logits).__name__}; for outputs of "
                        "another kind there is loss=")
    if logits.ndim == 3 and classes.dtype.kind in "iu" and classes.shape == logits.shape[:2]:
        logits, classes = logits.reshape(-1, logits.shape[2]), classes.reshape(-1)  # token by token
    if logits.ndim != 2:
        raise ValueError("the model must give logits (N, classes), or (N, T, classes) where y has a class for"
                         f" each of T tokens, got {logits.shape}, and y has {classes.shape}")
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
