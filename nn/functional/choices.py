"""Choosing between numbers, entry by entry."""

from __future__ import annotations

from .. import rules
from ..tensor import Operand, Tensor, apply


def where(condition: Operand, input: Operand, other: Operand) -> Tensor:
    """input where the condition (booleans) holds, else other; all three broadcast. Raises TypeError for a
    condition of numbers, ValueError for shapes that do not broadcast."""
    return apply(rules.choices.where, condition, input, other)


def maximum(input: Operand, other: Operand) -> Tensor:
    """The greater of input and other, entry by entry; they broadcast. Equals share the gradient."""
    return apply(rules.choices.maximum, input, other)


def minimum(input: Operand, other: Operand) -> Tensor:
    """The lesser of input and other, entry by entry; they broadcast. Equals share the gradient."""
    return apply(rules.choices.minimum, input, other)


def clamp(input: Operand, min: Operand | None = None, max: Operand | None = None) -> Tensor:
    """Each entry of input, but at least min and at most max. The bounds are numbers or tensors that
    broadcast, or None; the result is max where min > max. Raises ValueError if both are None."""
    return apply(rules.choices.clamp, input, min, max)
