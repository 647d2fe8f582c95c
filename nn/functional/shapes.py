"""Putting tensors together, taking them apart, and looking entries up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import rules
from ..arguments import as_indices, is_int
from ..tensor import Operand, Tensor, apply


def as_tensor(x: Operand) -> Tensor:
    """A Tensor as it is; anything else as a new one."""
    return x if isinstance(x, Tensor) else Tensor(x)


def flatten(input: Operand, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """`input` with the axes start_dim to end_dim as one. Raises ValueError for axes that it has not."""
    return as_tensor(input).flatten(start_dim, end_dim)


def cat(tensors: Sequence[Operand], dim: int = 0) -> Tensor:
    """The tensors end to end along `dim`; their other axes must agree. Raises ValueError where they do not,
    TypeError for what is no list."""
    return apply(rules.shapes.cat, *_several("cat", tensors), dim=dim)


def stack(tensors: Sequence[Operand], dim: int = 0) -> Tensor:
    """The tensors side by side along a new axis `dim`. Raises ValueError unless they are of one shape,
    TypeError for what is no list."""
    tensors = [as_tensor(t) for t in _several("stack", tensors)]
    shapes = dict.fromkeys(t.shape for t in tensors)
    if len(shapes) > 1:
        came = ", ".join(map(str, shapes))
        raise ValueError(f"stack: {len(tensors)} tensors of shapes {came} came, wanted all of one shape")
    return cat([t.unsqueeze(dim) for t in tensors], dim)


def _several(op, tensors):
    if isinstance(tensors, Tensor) or not hasattr(tensors, "__iter__"):
        raise TypeError(f"{op}: got {type(tensors).__name__}, wanted a list or tuple of tensors")
    tensors = list(tensors)
    if not tensors:
        raise ValueError(f"{op}: 0 tensors came, wanted at least one")
    return tensors


def split(tensor: Operand, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of `tensor` along `dim`, of lengths that add up to its own. split_size_or_sections: the length of
    each part (the last may be shorter), or the list of their lengths. Raises ValueError or TypeError for
    lengths that do not fit."""
    return as_tensor(tensor).split(split_size_or_sections, dim)


def chunk(input: Operand, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` parts of `input` along `dim`, all of the same length but perhaps the last. Raises
    ValueError for fewer than one, or an axis that there is not."""
    return as_tensor(input).chunk(chunks, dim)


def gather(input: Operand, dim: int, index: Operand) -> Tensor:
    """Of `input` x: y[i, j] = x[index[i, j], j] for dim 0, x[i, index[i, j]] for dim 1, and so on. index:
    integers, as many axes as x has. Raises TypeError for what are none, IndexError for one that is not there,
    ValueError for a shape that does not fit."""
    return as_tensor(input).gather(dim, index)


def embedding(input: Operand, weight: Operand, padding_idx: int | None = None) -> Tensor:
    """The rows of weight (rows, width) that the integers `input` (…) name → (…, width). padding_idx: a row
    that gets no gradient. Raises IndexError for an integer that is no row, TypeError for what is no integer,
    ValueError for a padding_idx or a weight that does not fit."""
    rows = np.shape(getattr(weight, "_data", weight))[0]
    if padding_idx is not None and not (is_int(padding_idx) and -rows <= padding_idx < rows):
        raise ValueError(f"embedding: padding_idx is {padding_idx!r}, but the weight has {rows} rows")
    return apply(rules.gathering.embedding, weight, as_indices(input), padding_idx=padding_idx)


def one_hot(tensor: Operand, num_classes: int = -1) -> Tensor:
    """Integers `tensor` (…) → (…, num_classes), int64: 1 at the integer and 0 elsewhere. num_classes: -1 for
    as many as are needed. Raises TypeError for what are no integers, ValueError for one that is not in 0 …
    num_classes − 1."""
    if not is_int(num_classes):
        raise TypeError(f"one_hot: num_classes is {num_classes!r}, wanted an int")
    given = as_tensor(as_indices(tensor))
    classes = given.numpy() if num_classes == -1 else given.data  # of -1 the shape depends on values
    rules.checks.integers("one_hot", "the classes are", classes)
    most = int(classes.max()) + 1 if classes.size else 0
    n = most if num_classes == -1 else num_classes
    if (classes.size and classes.min() < 0) or most > n:
        raise ValueError(f"one_hot: classes from {classes.min()} to {most - 1} came, wanted 0 to {n - 1}")
    return (given.unsqueeze(-1) == np.arange(n)).long()
