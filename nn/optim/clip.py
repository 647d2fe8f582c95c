"""Clipping gradients before a step.

Pascanu, Mikolov & Bengio, "On the difficulty of training recurrent neural networks" (2013), algorithm 1.
"""

import math
from collections.abc import Iterable

import numpy as np

from ..arguments import flag, instance, number
from ..half import wide
from ..tensor import Tensor
from ..versions import wrote


def clip_grad_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0,
                    error_if_nonfinite: bool = False) -> float:
    """Scale all gradients together, in place, so that their norm as one vector is at most max_norm.

    As in PyTorch the factor is min(1, max_norm / (norm + 10⁻⁶)): the direction stays. norm_type is p > 0 of
    (Σ|g|ᵖ)^(1/p), or infinity for the largest magnitude; sums are in float64. A missing gradient counts as 0.
    parameters: a Tensor or several, whether or not they require a gradient. Returns the norm as it was before
    (0.0 if there is no gradient). Raises: TypeError for what is not a Tensor or number, ValueError for a
    max_norm < 0 or norm_type not > 0; RuntimeError for a norm that is infinite or NaN, if error_if_nonfinite:
    then nothing was changed. Without it such a norm makes gradients 0 or NaN.
    """
    number("clip_grad_norm_", "max_norm", max_norm, closed=True)
    number("clip_grad_norm_", "norm_type", norm_type, above=True, closed=True)
    flag("clip_grad_norm_", "error_if_nonfinite", error_if_nonfinite)
    gradients, p = _gradients("clip_grad_norm_", parameters), float(norm_type)
    if p == math.inf:
        norm = float(np.max([np.abs(g).max() for g in gradients if g.size], initial=0.0))  # NaN, if one is
    else:
        with np.errstate(over="ignore"):
            magnitudes = (np.abs(g.ravel(), dtype=np.float64) for g in gradients)
            norm = float(sum(float(g @ g if p == 2 else (g**p).sum()) for g in magnitudes) ** (1 / p))
    if error_if_nonfinite and not math.isfinite(norm):
        raise RuntimeError(f"clip_grad_norm_: the norm of the gradients is {norm}, so they cannot be clipped")
    factor = max_norm / (norm + 1e-6)
    if not factor >= 1:  # so that NaN is passed on
        with np.errstate(invalid="ignore"):  # ∞·0
            for g in gradients:
                np.multiply(g, factor, out=g, dtype=wide(g.dtype), casting="same_kind")
                wrote(g)
    return norm


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Clamp each entry of the gradients of parameters (a Tensor or several) to −clip_value … clip_value, in
    place; NaN stays. Raises TypeError for what is not a Tensor or number, ValueError for a clip_value < 0."""
    number("clip_grad_value_", "clip_value", clip_value, closed=True)
    for g in _gradients("clip_grad_value_", parameters):
        np.clip(g, -clip_value, clip_value, out=g, dtype=wide(g.dtype), casting="same_kind")
        wrote(g)


def _gradients(who: str, parameters: Tensor | Iterable[Tensor]) -> list[np.ndarray]:
    instance(who, "parameters", parameters, (Tensor, Iterable), "Tensors")
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for i, p in enumerate(given):
        instance(who, f"parameters[{i}]", p, Tensor, "a Tensor")
    return [getattr(p.grad, "_data", p.grad) for p in given if p.grad is not None]
