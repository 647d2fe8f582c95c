"""Activations, softmax and dropout as Modules."""

from __future__ import annotations

from .. import functional as F
from ..rules.checks import one_of
from .checks import integer, number
from .function import FunctionLayer


class ReLU(FunctionLayer, function=F.relu):
    __doc__ = F.relu.__doc__


class LeakyReLU(FunctionLayer, function=F.leaky_relu):
    __doc__ = F.leaky_relu.__doc__

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = number(self, "negative_slope", negative_slope)


class Tanh(FunctionLayer, function=F.tanh):
    __doc__ = F.tanh.__doc__


class Sigmoid(FunctionLayer, function=F.sigmoid):
    __doc__ = F.sigmoid.__doc__


class LogSigmoid(FunctionLayer, function=F.logsigmoid):
    __doc__ = F.logsigmoid.__doc__


class Softplus(FunctionLayer, function=F.softplus):
    __doc__ = F.softplus.__doc__

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta = number(self, "beta", beta, 0, above=True)
        self.threshold = number(self, "threshold", threshold)


class SiLU(FunctionLayer, function=F.silu):
    __doc__ = F.silu.__doc__


class GELU(FunctionLayer, function=F.gelu):
    __doc__ = F.gelu.__doc__

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = one_of("GELU", "approximate", approximate, ("none", "tanh"))


class Softmax(FunctionLayer, function=F.softmax):
    """eˣ/Σeˣ over the axis `dim`: positive numbers of sum 1. Raises TypeError for a dim that is no int."""

    def __init__(self, dim: int = -1) -> None:
        self.dim = integer(self, "dim", dim)


class LogSoftmax(Softmax, function=F.log_softmax):
    """x − log Σeˣ over the axis `dim`: the logarithm of Softmax, without its underflow."""


class Dropout(FunctionLayer, function=F.dropout):
    __doc__ = F.dropout.__doc__

    def __init__(self, p: float = 0.5) -> None:
        self.p = number(self, "p", p, 0, 1)
