"""Activations, softmax and dropout as Modules."""

from __future__ import annotations

from .. import functional as F
from ..rules.checks import one_of
from .checks import integer, number
from .function import FunctionLayer


class ReLU(FunctionLayer, function=F.relu):
    pass


class LeakyReLU(FunctionLayer, function=F.leaky_relu):
    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = number(self, "negative_slope", negative_slope)


class Tanh(FunctionLayer, function=F.tanh):
    pass


class Sigmoid(FunctionLayer, function=F.sigmoid):
    pass


class LogSigmoid(FunctionLayer, function=F.logsigmoid):
    pass


class Softplus(FunctionLayer, function=F.softplus):
    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta = number(self, "beta", beta, 0, above=True)
        self.threshold = number(self, "threshold", threshold)


class SiLU(FunctionLayer, function=F.silu):
    pass


class GELU(FunctionLayer, function=F.gelu):
    def __init__(self, approximate: str = "none") -> None:
        self.approximate = one_of("GELU", "approximate", approximate, ("none", "tanh"))


class Softmax(FunctionLayer, function=F.softmax):
    def __init__(self, dim: int = -1) -> None:
        self.dim = integer(self, "dim", dim)


class LogSoftmax(FunctionLayer, function=F.log_softmax):
    __init__ = Softmax.__init__


class Dropout(FunctionLayer, function=F.dropout):
    def __init__(self, p: float = 0.5) -> None:
        self.p = number(self, "p", p, 0, 1)
