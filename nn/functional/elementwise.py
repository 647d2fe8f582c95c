"""Choosing between numbers, entry by entry."""

from __future__ import annotations

from nn import rules
from nn.tensor import Operand, Tensor, apply


def where(condition: Operand, input: Operand, other: Operand) -> Tensor:
    """input where the condition (booleans) holds, else other; all three broadcast."""
    return apply(rules.choices.where, condition, input, other)


def maximum(input: Operand, other: Operand) -> Tensor:
    """The greater of the two, entry by entry; of equals each gets half the gradient."""
    return apply(rules.choices.maximum, input, other)


def minimum(input: Operand, other: Operand) -> Tensor:
    """The lesser of the two, entry by entry; of equals each gets half the gradient."""
    return apply(rules.choices.minimum, input, other)


def clamp(input: Operand, min: Operand | None = None, max: Operand | None = None) -> Tensor:
    """Each entry, but at least min and at most max (numbers or tensors; max if min > max)."""
    return apply(rules.choices.clamp, input, min, max)
