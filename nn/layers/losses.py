"""Losses as Modules: functions of an input and a target, with their settings."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from ..arguments import is_int
from ..module import Module
from ..tensor import Tensor
from .checks import flags, number


class _Loss(Module):
    def __init__(self, reduction: str = "mean") -> None:
        reductions = ["mean", *(["batchmean"] if isinstance(self, KLDivLoss) else []), "sum", "none"]
        if not isinstance(reduction, str) or reduction not in reductions:
            name, *others, last = type(self).__name__, *map(repr, reductions)
            raise ValueError(f"{name}: reduction must be {', '.join(others)} or {last}, got {reduction!r}")
        self.reduction = reduction

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


def _register(loss: Module, **weights: np.ndarray | Tensor | None) -> None:
    """Weights of classes or entries: part of the state, not trained, None if not given."""
    for name, weight in weights.items():
        array = None
        if weight is not None:
            array = np.array(weight.data if isinstance(weight, Tensor) else weight)
            if array.dtype.kind not in "fiub":
                raise TypeError(f"{type(loss).__name__}: {name} must be numbers, got {weight!r}")
        loss.register_buffer(name, array)


def _of_classes(loss: Module, weight: np.ndarray | Tensor | None, ignore_index: int) -> None:
    """What the losses of classes have: a weight for each class, and one class that does not count."""
    _register(loss, weight=weight)
    if loss.weight is not None and loss.weight.ndim != 1:
        raise ValueError(f"{type(loss).__name__}: weight must have shape (C,), got {loss.weight.shape}")
    if not is_int(ignore_index):
        raise TypeError(f"{type(loss).__name__}: ignore_index must be an int, got {ignore_index!r}")
    loss.ignore_index = ignore_index


class CrossEntropyLoss(_Loss):
    """−log softmax(x) at the right class: of logits x (N, C) or (N, C, d…) and classes (N,) or (N, d…).

    The target is integers, or probabilities (floats of x's shape). weight: (C,), a factor for each class,
    part of the state. ignore_index: a class that does not count. reduction: "mean" (of the weights that
    count), "sum" or "none". label_smoothing: in 0..1, the part of the target spread over all classes.
    Raises ValueError for settings, shapes and classes that do not fit.
    """

    def __init__(self, weight: np.ndarray | Tensor | None = None, *, ignore_index: int = -100,
                 reduction: str = "mean", label_smoothing: float = 0.0) -> None:
        super().__init__(reduction)
        _of_classes(self, weight, ignore_index)
        self.label_smoothing = number(self, "label_smoothing", label_smoothing, 0, 1)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(input, target, self.weight, ignore_index=self.ignore_index,
                               reduction=self.reduction, label_smoothing=self.label_smoothing)


class NLLLoss(_Loss):
    """−x at the right class, of log-probabilities x (N, C) or (N, C, d…) and classes (N,) or (N, d…).

    weight: (C,), a factor for each class, part of the state. ignore_index: a class that does not count.
    reduction: "mean" (of the weights that count), "sum" or "none". Raises ValueError for what does not fit.
    """

    def __init__(self, weight: np.ndarray | Tensor | None = None, *, ignore_index: int = -100,
                 reduction: str = "mean") -> None:
        super().__init__(reduction)
        _of_classes(self, weight, ignore_index)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(input, target, self.weight, ignore_index=self.ignore_index,
                          reduction=self.reduction)


class MSELoss(_Loss):
    """(input − target)², of equal shapes.

    reduction: "mean", "sum" or "none". Raises ValueError for another, and for shapes that differ.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, self.reduction)


class L1Loss(_Loss):
    """|input − target|, of equal shapes.

    reduction: "mean", "sum" or "none". Raises ValueError for another, and for shapes that differ.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(input, target, self.reduction)


class SmoothL1Loss(_Loss):
    """d²/2β where |d| ≤ beta, else |d| − β/2, d = input − target, of equal shapes.

    reduction: "mean", "sum" or "none". Raises ValueError for another, a beta < 0, and shapes that differ.
    """

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = number(self, "beta", beta, 0)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(input, target, self.reduction, self.beta)


class HuberLoss(_Loss):
    """d²/2 where |d| ≤ delta, else delta·(|d| − delta/2), d = input − target, of equal shapes.

    reduction: "mean", "sum" or "none". Raises ValueError for another, a delta ≤ 0, and shapes that differ.
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = number(self, "delta", delta, 0, above=True)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(input, target, self.reduction, self.delta)


class KLDivLoss(_Loss):
    """The divergence of log-probabilities `input` from `target`: probabilities, or their logarithms too.

    reduction: "mean", "batchmean" (the sum over the number of examples), "sum" or "none". log_target: whether
    the target is logarithms. Raises ValueError for another, and for shapes that differ.
    """

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        flags(self, log_target=log_target)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.kl_div(input, target, self.reduction, self.log_target)


class BCEWithLogitsLoss(_Loss):
    """−t·log σ(x) − (1 − t)·log σ(−x) of logits x and probabilities t of equal shapes.

    weight: a factor for each entry, pos_weight: one for the first term; both broadcast, and are part of the
    state. reduction: "mean", "sum" or "none". Raises ValueError for another, and for shapes that do not fit.
    """

    def __init__(self, weight: np.ndarray | Tensor | None = None, reduction: str = "mean",
                 pos_weight: np.ndarray | Tensor | None = None) -> None:
        super().__init__(reduction)
        _register(self, weight=weight, pos_weight=pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(input, target, self.weight, self.reduction, self.pos_weight)
