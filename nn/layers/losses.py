"""Losses as Modules: functions of an input and a target, with their settings."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from ..functional.losses import known
from ..tensor import Tensor
from .checks import flags, integer, number
from .function import OF, FunctionLayer

Weights = np.ndarray | Tensor | None


class _Loss(FunctionLayer):
    def __init__(self, reduction: str = "mean") -> None:
        more = ("batchmean",) if isinstance(self, KLDivLoss) else ()
        self.reduction = known(type(self).__name__, reduction, more=more)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        function, names = getattr(self, OF)
        return function(input, target, **{name: getattr(self, name) for name in names})


def _register(loss, **weights):
    """Weights of classes or entries: part of the state, not trained, None if not given."""
    for name, weight in weights.items():
        array = None
        if weight is not None:
            array = np.array(weight.data if isinstance(weight, Tensor) else weight)
            if array.dtype.kind not in "fiub":
                raise TypeError(f"{type(loss).__name__}: {name} must be numbers, got {weight!r}")
        loss.register_buffer(name, array)


class _ClassLoss(_Loss):
    def __init__(self, weight: Weights = None, *, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction)
        _register(self, weight=weight)
        if self.weight is not None and self.weight.ndim != 1:
            raise ValueError(f"{type(self).__name__}: weight must have shape (C,), got {self.weight.shape}")
        self.ignore_index = integer(self, "ignore_index", ignore_index)


class NLLLoss(_ClassLoss, function=F.nll_loss):
    pass


class CrossEntropyLoss(_ClassLoss, function=F.cross_entropy):
    def __init__(self, weight: Weights = None, *, ignore_index: int = -100, reduction: str = "mean",
                 label_smoothing: float = 0.0) -> None:
        super().__init__(weight, ignore_index=ignore_index, reduction=reduction)
        self.label_smoothing = number(self, "label_smoothing", label_smoothing, 0, 1)


class MSELoss(_Loss, function=F.mse_loss):
    pass


class L1Loss(_Loss, function=F.l1_loss):
    pass


class SmoothL1Loss(_Loss, function=F.smooth_l1_loss):
    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = number(self, "beta", beta, 0)


class HuberLoss(_Loss, function=F.huber_loss):
    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = number(self, "delta", delta, 0, above=True)


class KLDivLoss(_Loss, function=F.kl_div):
    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = flags(self, log_target=log_target)["log_target"]


class BCEWithLogitsLoss(_Loss, function=F.binary_cross_entropy_with_logits):
    def __init__(self, weight: Weights = None, reduction: str = "mean", pos_weight: Weights = None) -> None:
        super().__init__(reduction)
        _register(self, weight=weight, pos_weight=pos_weight)
