"""Activations, softmax and dropout as Modules."""

from __future__ import annotations

from .. import functional as F
from ..arguments import is_int
from ..module import Module
from ..tensor import Tensor
from .checks import number


class ReLU(Module):
    """max(x, 0) of each entry: x of any shape, its gradient at 0 is 0."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x)


class LeakyReLU(Module):
    """x where it is positive, else negative_slope·x, of each entry.

    negative_slope: the slope on the left. Maas, Hannun & Ng (2013).
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = number(self, "negative_slope", negative_slope)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class Tanh(Module):
    """The hyperbolic tangent of each entry."""

    def forward(self, x: Tensor) -> Tensor:
        return F.tanh(x)


class Sigmoid(Module):
    """1/(1 + e⁻ˣ) of each entry, without overflow at either end."""

    def forward(self, x: Tensor) -> Tensor:
        return F.sigmoid(x)


class LogSigmoid(Module):
    """log 1/(1 + e⁻ˣ) of each entry, without overflow at either end."""

    def forward(self, x: Tensor) -> Tensor:
        return F.logsigmoid(x)


class Softplus(Module):
    """log(1 + e^(β·x))/β of each entry, a smooth ReLU; x itself where β·x > threshold.

    beta: β > 0, how sharp the bend is. threshold: where the straight line begins; there it differs from the
    curve by less than float32 rounds.
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta = number(self, "beta", beta, 0, above=True)
        self.threshold = number(self, "threshold", threshold)

    def forward(self, x: Tensor) -> Tensor:
        return F.softplus(x, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class SiLU(Module):
    """x·σ(x) of each entry, also known as swish. Elfwing, Uchibe & Doya (2018)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(x)


class GELU(Module):
    """x·Φ(x) of each entry, Φ the normal distribution.

    approximate: "none", exact by erf, or "tanh", GPT-2's approximation.
    Raises ValueError for another. Hendrycks & Gimpel (2016).
    """

    def __init__(self, approximate: str = "none") -> None:
        if not isinstance(approximate, str) or approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate must be 'none' or 'tanh', got {approximate!r}")
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Softmax(Module):
    """eˣ/Σeˣ over the axis `dim`: positive numbers of sum 1. Raises TypeError for a dim that is no int."""

    def __init__(self, dim: int = -1) -> None:
        if not is_int(dim):
            raise TypeError(f"{type(self).__name__}: dim must be an int, got {dim!r}")
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        return F.softmax(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """x − log Σeˣ over the axis `dim`: the logarithm of Softmax, without its underflow."""

    def forward(self, x: Tensor) -> Tensor:
        return F.log_softmax(x, self.dim)


class Dropout(Module):
    """While training, zero each value with probability p and scale the others by 1/(1−p).

    Raises ValueError for a p outside 0..1. The numbers come from nn.random.generator(), which nn.manual_seed
    seeds. Srivastava et al. (2014), with the scaling moved from evaluation to training.
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = number(self, "p", p, 0, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"
