"""Products of matrices and of tensors, and attention, which is made of them."""

from __future__ import annotations

import numpy as np

from .. import rules
from ..tensor import Operand, Tensor, apply
from .activations import dropout
from .half import rounded_once
from .shapes import as_tensor


def linear(input: Operand, weight: Operand, bias: Operand | None = None) -> Tensor:
    """input·weightᵀ + bias: (…, in), (out, in), (out,) → (…, out). Raises ValueError for other shapes."""
    return apply(rules.linear.linear, input, weight, bias)


def matmul(input: Operand, other: Operand) -> Tensor:
    """The matrix product of input and other; axes before the last two are a batch, and broadcast. A vector is
    a row on the left and a column on the right. Raises ValueError for shapes that do not fit."""
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


@rounded_once
def scaled_dot_product_attention(query: Operand, key: Operand, value: Operand,
                                 attn_mask: Operand | None = None, dropout_p: float = 0.0,
                                 is_causal: bool = False, scale: float | None = None) -> Tensor:
    """softmax(query·keyᵀ·scale + mask)·value: (…, L, E), (…, S, E), (…, S, V) → (…, L, V).

    attn_mask: booleans, true where a query may look, or floats that are added to the scores; it broadcasts to
    (…, L, S). is_causal: query i sees keys 0 … i. scale: 1/√E if left out. A query that may look nowhere gets
    0. dropout_p: the probability with which a weight is dropped; pass 0 in evaluation. Vaswani et al.,
    "Attention is all you need" (2017). Raises ValueError or TypeError for shapes and masks that do not fit.
    """
    rule = rules.attention.scaled_dot_product_attention
    if not dropout_p:
        return apply(rule, query, key, value, attn_mask, is_causal=is_causal, scale=scale)
    value = as_tensor(value)
    every = np.eye(value.shape[-2], dtype=value.dtype)  # with these as values, attention gives its weights
    weights = apply(rule, query, key, every, attn_mask, is_causal=is_causal, scale=scale)
    return dropout(weights, dropout_p) @ value
