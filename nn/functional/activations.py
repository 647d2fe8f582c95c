"""Activations, softmax and dropout."""

from __future__ import annotations

import numpy as np

from .. import rules
from ..arguments import flag, is_number
from ..random import generator
from ..tensor import Operand, Tensor, apply
from .shapes import as_tensor


def _of_each(rule, what, more=""):
    def function(input: Operand) -> Tensor:
        return apply(rule, input)
    function.__name__ = function.__qualname__ = rule.name
    function.__doc__ = f"{what} of each entry x of input{more}."
    return function


relu = _of_each(rules.functions.relu, "max(x, 0)", "; the gradient at 0 is 0")
tanh = _of_each(rules.functions.tanh, "The hyperbolic tangent")
sigmoid = _of_each(rules.functions.sigmoid, "1/(1 + e⁻ˣ)", ", without overflow at either end")
logsigmoid = _of_each(rules.functions.logsigmoid, "log 1/(1 + e⁻ˣ)", ", without overflow at either end")
silu = _of_each(rules.functions.silu, "x·σ(x)", ", also known as swish. Elfwing, Uchibe & Doya (2018)")


def leaky_relu(input: Operand, negative_slope: float = 0.01) -> Tensor:
    """x where x > 0, else negative_slope·x, of each entry x of input; at 0 the gradient is that of the left.
    Maas, Hannun & Ng (2013)."""
    return apply(rules.functions.leaky_relu, input, negative_slope=negative_slope)


def softplus(input: Operand, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + e^(β·x))/β of each entry x of input, a smooth relu; x itself where β·x > threshold. beta: β, a
    number > 0, how sharp the bend is. threshold: where the straight line begins, which there differs from the
    curve by less than float32 rounds. Raises ValueError for another beta."""
    if not is_number(beta) or not beta > 0:
        raise ValueError(f"softplus: beta is {beta!r}, wanted a number > 0")
    return apply(rules.functions.softplus, input, beta=beta, threshold=threshold)


def gelu(input: Operand, approximate: str = "none") -> Tensor:
    """x·Φ(x) of each entry x of input, Φ the normal distribution. Hendrycks & Gimpel (2016). approximate:
    "none", exact by erf, or "tanh", GPT-2's approximation. Raises ValueError for another."""
    rules.checks.one_of("gelu", "approximate", approximate, ("none", "tanh"))
    return apply(rules.functions.gelu if approximate == "none" else rules.functions.gelu_tanh, input)


def softmax(input: Operand, dim: int = -1) -> Tensor:
    """eˣ/Σeˣ of input x over the axis `dim`: positive numbers of sum 1; NaN where all is −∞, as in PyTorch.
    Raises TypeError for a dim that is no int, ValueError for one that is not there."""
    return as_tensor(input).softmax(dim)


def log_softmax(input: Operand, dim: int = -1) -> Tensor:
    """x − log Σeˣ of input x over the axis `dim`: the logarithm of softmax, without its underflow.
    Raises what that raises."""
    return as_tensor(input).log_softmax(dim)


def dropout(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Each entry of input is 0 with probability p and scaled by 1/(1 − p) otherwise. training: False gives
    input itself. Drawn from nn.random.generator(), which nn.manual_seed seeds. Srivastava et al., "Dropout"
    (2014), with the scaling moved from evaluation to training. Raises ValueError for a p outside 0..1,
    TypeError for an input of integers."""
    if not is_number(p) or not 0 <= p <= 1:
        raise ValueError(f"dropout: p is {p!r}, wanted a probability from 0 to 1")
    if not isinstance(input, (Tensor, np.ndarray)):
        raise TypeError(f"dropout: the input is a {type(input).__name__}, wanted a Tensor or an array")
    if not flag("dropout", "training", training) or p == 0:
        return as_tensor(input)
    rules.checks.floats("dropout", input)  # 1/(1 − p) is no integer
    keep = generator().random(input.shape, dtype=np.float32) >= p
    return apply(rules.choices.dropout, input, keep, p=p)
