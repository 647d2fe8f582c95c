"""The methods of a Tensor beyond operators, sums and shapes, with PyTorch's names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nn.arguments import as_ints
from nn.converting import Converting
from nn.explain import explain
from nn.operators import Operators
from nn.ordering import Ordering
from nn.rules import (
    activations,
    choices,
    cumulative,
    erf,
    functions,
    gathering,
    linear,
    norm,
    order,
    reductions,
    shapes,
    spread,
)
from nn.shaping import Shaping

if TYPE_CHECKING:
    from nn.tensor import Dims, Operand, Tensor


OVER_AXES = """dim: an axis, a tuple of axes, or None for all. keepdim: whether those stay, at length 1. axis
and keepdims: NumPy's names for the two. Raises ValueError for an axis that is not there."""


def _rule(rule):
    def method(self) -> Tensor:
        return self._apply(rule)
    method.__doc__ = rule.formula
    return method


def _reduction(rule):
    def method(self, dim: Dims = None, keepdim: bool = False, *, axis: Dims = None,
               keepdims: bool = False) -> Tensor:
        return self._apply(rule, dim=dim if axis is None else axis, keepdim=keepdim or keepdims)
    method.__doc__ = f"{rule.formula}\n\n{OVER_AXES}"
    return method


class Methods(Ordering, Operators, Shaping, Converting):
    """What Tensor inherits. `_apply(rule, *others, **attrs)` is the rule on this tensor and the others."""

    __slots__ = ()

    # Functions of each entry

    tanh, sigmoid, erf = map(_rule, (functions.tanh, functions.sigmoid, erf.erf))
    sin, cos, sign, abs = map(_rule, (functions.sin, functions.cos, functions.sign, functions.abs))
    logsigmoid, relu = _rule(functions.logsigmoid), _rule(activations.relu)
    __abs__ = _rule(functions.abs)

    def clamp(self, min: Operand | None = None, max: Operand | None = None) -> Tensor:
        """Each entry, but at least min and at most max (numbers or tensors; max if min > max)."""
        return self._apply(choices.clamp, min, max)

    clip = clamp

    def maximum(self, other: Operand) -> Tensor:
        """The greater of this and other, entry by entry; of equals each gets half the gradient."""
        return self._apply(choices.maximum, other)

    def minimum(self, other: Operand) -> Tensor:
        """The lesser of this and other, entry by entry; of equals each gets half the gradient."""
        return self._apply(choices.minimum, other)

    def where(self, condition: Operand, other: Operand) -> Tensor:
        """This where the condition holds, else other."""
        return self._apply_to(choices.where, condition, self, other)

    def masked_fill(self, mask: Operand, value: Operand) -> Tensor:
        """`value` where the mask holds, else this."""
        return self._apply_to(choices.where, mask, value, self)

    __invert__ = _rule(choices.invert)

    def __and__(self, other: Operand) -> Tensor:
        return self._apply(choices.both, other)

    def __or__(self, other: Operand) -> Tensor:
        return self._apply(choices.either, other)

    # Over axes

    prod, logsumexp, argmin = map(_reduction, (cumulative.prod, spread.logsumexp, spread.argmin))
    amax, amin = _reduction(reductions.max), _reduction(reductions.min)
    any, all = _reduction(order.any), _reduction(order.all)

    def norm(self, p: float | str = 2, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """The p-norm (Σ|x|ᵖ)¹ᐟᵖ over `dim`, an axis, a tuple of axes, or None for all.

        p: a number; ∞ (or −∞) for the greatest (or least) |x|, 0 for how many entries are not 0, "fro" for
        2. keepdim: whether the axes stay, at length 1. The gradient where an entry is 0 is 0. Raises
        TypeError for integers, ValueError for another p, and for an infinite or negative one over nothing.
        """
        p = 2 if p is None or p == "fro" else p
        if isinstance(p, (bool, str)) or not isinstance(p, (int, float, np.number)) or np.isnan(p):
            raise ValueError(f"norm: p is {p!r}, wanted a number, or 'fro' for 2")
        return self._apply(norm.norm, p=float(p), dim=dim, keepdim=keepdim)

    def std(self, dim: Dims = None, correction: int = 1, keepdim: bool = False) -> Tensor:
        """The square root of the variance over `dim`, with n − correction in its denominator.

        keepdim: whether the axes stay, at length 1. Raises ValueError where nothing is left of the
        denominator.
        """
        return self._apply(spread.std, dim=dim, correction=correction, keepdim=keepdim)

    def cumsum(self, dim: int) -> Tensor:
        """The running sums along `dim`."""
        return self._apply(cumulative.cumsum, dim=self._axis(dim))

    def cumprod(self, dim: int) -> Tensor:
        """The running products along `dim`; their gradient is right beside zeros, too."""
        return self._apply(cumulative.cumprod, dim=self._axis(dim))

    def softmax(self, dim: int) -> Tensor:
        """eˣ/Σeˣ over `dim`."""
        return self._apply(activations.softmax, dim=dim)

    def log_softmax(self, dim: int) -> Tensor:
        """x − log Σeˣ over `dim`."""
        return self._apply(activations.log_softmax, dim=dim)

    def matmul(self, other: Operand) -> Tensor:
        """The matrix product with other; axes before the last two are a batch."""
        return self._apply(linear.matmul, other)

    # Parts

    def split(self, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
        """Parts along `dim`; split_size: the length of each (the last may be shorter), or a list of their
        lengths.

        Raises ValueError for lengths that do not add up, TypeError for what are none.
        """
        dim = self._axis(dim)
        n, sizes = self.shape[dim], split_size
        if isinstance(sizes, (int, np.integer)) and not isinstance(sizes, bool):
            if sizes < 1:
                raise ValueError(f"split: the length of a part is {sizes}, wanted at least 1")
            sizes = [min(sizes, n - start) for start in range(0, n, sizes)] or [0]
        if not isinstance(sizes, (tuple, list)) or not all(isinstance(s, (int, np.integer)) for s in sizes):
            raise TypeError(f"split: wanted an int or a list of ints, got {split_size!r}")
        if sum(sizes) != n or min(sizes) < 0:
            raise ValueError(f"split: the lengths {list(sizes)} do not add up to the {n} of axis {dim} of "
                             f"the shape {self.shape}")
        ends = np.cumsum(sizes).tolist()
        return tuple(self[(slice(None),) * dim + (slice(end - size, end),)]
                     for end, size in zip(ends, sizes, strict=True))

    def chunk(self, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
        """At most `chunks` parts along `dim`, all of the same length but perhaps the last.

        Raises ValueError for fewer than one.
        """
        if isinstance(chunks, bool) or not isinstance(chunks, (int, np.integer)) or chunks < 1:
            raise ValueError(f"chunk: chunks is {chunks!r}, wanted an int of at least 1")
        n = self.shape[self._axis(dim)]
        return self.split(-(-n // chunks), dim) if n else self.split([0] * chunks, dim)

    def unbind(self, dim: int = 0) -> tuple[Tensor, ...]:
        """The slices along `dim`, without it."""
        dim = self._axis(dim)
        return tuple(self[(slice(None),) * dim + (i,)] for i in range(self.shape[dim]))

    def index_select(self, dim: int, index: Operand) -> Tensor:
        """The slices of `dim` that `index`, a list of integers, names, in its order, as often as it names
        them.

        Raises TypeError for what is no such list, IndexError for an integer that is not there.
        """
        dim = self._axis(dim)
        index = np.asarray(getattr(index, "_data", index))
        if index.dtype.kind not in "iu" or index.ndim > 1:
            raise TypeError(f"index_select: the index is {index.dtype} of shape {index.shape}, wanted a "
                            "list of integers")
        if index.size and not 0 <= index.min() <= index.max() < self.shape[dim]:
            raise IndexError(f"index_select: the index goes from {index.min()} to {index.max()}, but axis "
                             f"{dim} of the shape {self.shape} from 0 to {self.shape[dim] - 1}")
        return self[(slice(None),) * dim + (index.reshape(-1),)]

    def gather(self, dim: int, index: Operand) -> Tensor:
        """y[i, j] = x[index[i, j], j] for dim 0, x[i, index[i, j]] for dim 1, and so on."""
        return self._apply(gathering.gather, index, dim=self._axis(dim))

    def scatter_add(self, dim: int, index: Operand, src: Operand) -> Tensor:
        """This with src[i, j] added at [index[i, j], j] for dim 0, at [i, index[i, j]] for dim 1, and so
        on."""
        return self._apply(gathering.scatter_add, index, src, dim=self._axis(dim))

    def tril(self, diagonal: int = 0) -> Tensor:
        """The lower triangle of each matrix, zeros above `diagonal`."""
        return self.where(np.tri(*self.shape[-2:], diagonal, dtype=bool), 0)

    def triu(self, diagonal: int = 0) -> Tensor:
        """The upper triangle of each matrix, zeros below `diagonal`."""
        return self.where(~np.tri(*self.shape[-2:], diagonal - 1, dtype=bool), 0)

    # Shapes

    def view(self, *shape: int) -> Tensor:
        """In another shape, one length of which may be -1: as reshape."""
        return self._apply(shapes.reshape, shape=as_ints(shape))

    def movedim(self, source: int, destination: int) -> Tensor:
        """With the axis `source` moved to `destination`."""
        source, destination = self._axis(source), self._axis(destination)
        order: list[Any] = [axis for axis in range(self.ndim) if axis != source]
        order.insert(destination, source)
        return self._apply(shapes.permute, dims=tuple(order))

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """The axes start_dim to end_dim as one.

        Raises ValueError for axes that are not there, or the wrong way round.
        """
        start, end = self._axis(start_dim), self._axis(end_dim)
        if start > end:
            raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim} in the shape "
                             f"{self.shape}")
        length = math.prod(self.shape[start:end + 1])
        return self.reshape(*self.shape[:start], length, *self.shape[end + 1:])

    def squeeze(self, *dim: int) -> Tensor:
        """Without the axis `dim`, if its length is 1; without any argument, without all such axes."""
        if not dim:
            return self[tuple(0 if n == 1 else slice(None) for n in self.shape)]
        dim = self._axis(*dim)
        return self[(slice(None),) * dim + (0,)] if self.shape[dim] == 1 else self

    def unsqueeze(self, dim: int) -> Tensor:
        """With a new axis of length 1 at `dim`."""
        return self[(slice(None),) * self._axis(dim, self.ndim + 1) + (None,)]

    def expand(self, *shape: int) -> Tensor:
        """Repeated, without a copy, to a shape it broadcasts to; -1 is the length there is."""
        shape = as_ints(shape)
        have = (None,) * (len(shape) - self.ndim) + self.shape
        if len(have) == len(shape):
            shape = tuple(h if n == -1 and h is not None else n for n, h in zip(shape, have, strict=True))
        return self._apply(shapes.expand, shape=shape)

    def explain(self) -> str:
        """How this was computed, and how backward goes through it, as a text: see nn.explain."""
        return explain(self)
