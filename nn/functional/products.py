"""Products of matrices and of tensors."""

from __future__ import annotations

from .. import rules
from ..tensor import Operand, Tensor, apply


def linear(input: Operand, weight: Operand, bias: Operand | None = None) -> Tensor:
    """input·weightᵀ + bias: (…, in), (out, in), (out,) → (…, out). Raises ValueError for other shapes."""
    return apply(rules.linear.linear, input, weight, bias)


def matmul(input: Operand, other: Operand) -> Tensor:
    """The matrix product of input and other; axes before the last two are a batch, and broadcast.

    A vector is a row on the left and a column on the right. Raises ValueError for shapes that do not fit.
    """
    return apply(rules.linear.matmul, input, other)


def einsum(equation: str, *operands: Operand) -> Tensor:
    """Einstein's sum of the operands: einsum("bij,bjk->bik", x, y) is the product of each pair of matrices.

    equation: a letter names an axis; one that the output lacks is summed over, one that an operand names
    twice means its diagonal. Without "->" the output has the letters that occur once, in alphabetical order.
    "..." stands for any axes, which broadcast. Raises ValueError for an equation that the shapes do not fit.
    """
    if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
        operands = tuple(operands[0])
    return apply(rules.einsum.einsum, *operands, equation=equation)
