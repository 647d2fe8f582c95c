"""The methods of a Tensor beyond operators, sums and shapes, with PyTorch's names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .arguments import as_indices, as_ints
from .converting import Converting
from .explain import explain
from .operators import Operators
from .ordering import Ordering
from .rules import (
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
from .shaping import Shaping

if TYPE_CHECKING:
    from .tensor import Dims, Operand, Tensor


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
        return self._apply(rule, dim=self._axes(dim if axis is None else axis), keepdim=keepdim or keepdims)
    method.__doc__ = f"{rule.formula}\n\n{OVER_AXES}"
    return method


def _listed(x):
    """A scalar as a list of one number: as in PyTorch, what goes along an axis takes it for that."""
    if not isinstance(x, (int, float)):
        return x if x.ndim else x.reshape(1)
    return np.array([x])


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
        return self._apply(norm.norm, p=float(p), dim=self._axes(dim), keepdim=keepdim)

    def std(self, dim: Dims = None, correction: int = 1, keepdim: bool = False) -> Tensor:
        """The square root of the variance over `dim`, with n − correction in its denominator.

        keepdim: whether the axes stay, at length 1. Raises ValueError where nothing is left of the
        denominator.
        """
        return self._apply(spread.std, dim=self._axes(dim), correction=correction, keepdim=keepdim)

    def cumsum(self, dim: int) -> Tensor:
        """The running sums along `dim`."""
        return self._apply(cumulative.cumsum, dim=self._axis(dim))

    def cumprod(self, dim: int) -> Tensor:
        """The running products along `dim`; their gradient is right beside zeros, too."""
        return self._apply(cumulative.cumprod, dim=self._axis(dim))

    def softmax(self, dim: int) -> Tensor:
        """eˣ/Σeˣ over `dim`."""
        return self._apply(activations.softmax, dim=self._axes(dim))

    def log_softmax(self, dim: int) -> Tensor:
        """x − log Σeˣ over `dim`."""
        return self._apply(activations.log_softmax, dim=self._axes(dim))

    def matmul(self, other: Operand) -> Tensor:
        """The matrix product with other; axes before the last two are a batch."""
        return self._apply(linear.matmul, other)

    # Parts

    def split(self, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
        """Parts along `dim`; split_size: the length of each (the last may be shorter), or a list of their
        lengths.

        Raises ValueError for lengths that do not add up, TypeError for what are none.
        """
        dim = self._axis_of_parts("split", dim)
        n, sizes = self.shape[dim], split_size
        if isinstance(sizes, (int, np.integer)) and not isinstance(sizes, bool):
            if sizes < min(n, 1):
                raise ValueError(f"split: the length of a part is {sizes}, wanted at least 1")
            sizes = [min(sizes, n - start) for start in range(0, n, sizes or 1)] or [0]
        if not isinstance(sizes, (tuple, list)) or not all(isinstance(s, (int, np.integer)) for s in sizes):
            raise TypeError(f"split: wanted an int or a list of ints, got {split_size!r}")
        if sum(sizes) != n or min(sizes, default=0) < 0:
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
        n = self.shape[self._axis_of_parts("chunk", dim)]
        return self.split(-(-n // chunks), dim) if n else self.split([0] * chunks, dim)

    def unbind(self, dim: int = 0) -> tuple[Tensor, ...]:
        """The slices along `dim`, without it."""
        dim = self._axis_of_parts("unbind", dim)
        return tuple(self[(slice(None),) * dim + (i,)] for i in range(self.shape[dim]))

    def _axis_of_parts(self, op, dim):
        if not self.ndim:
            raise ValueError(f"{op}: the tensor is a scalar, which has no parts; wanted at least one axis")
        return self._axis(dim)

    def index_select(self, dim: int, index: Operand) -> Tensor:
        """The slices of `dim` that `index`, a list of integers, names, in its order, as often as it names
        them.

        Raises TypeError for what is no such list, IndexError for an integer that is not there.
        """
        dim = self._axis(dim)
        index = as_indices(index)
        index = index.numpy() if hasattr(index, "_node") else index
        if index.dtype.kind not in "iu" or index.ndim > 1:
            raise TypeError(f"index_select: the index is {index.dtype} of shape {index.shape}, wanted a "
                            "list of integers")
        if not self.ndim:
            if index.size != 1:
                raise ValueError(f"index_select: the tensor is a scalar, from which one index selects, "
                                 f"{index.size} came")
            return self.reshape(1).index_select(0, index).reshape(())
        if index.size and not 0 <= index.min() <= index.max() < self.shape[dim]:
            raise IndexError(f"index_select: the index goes from {index.min()} to {index.max()}, but axis "
                             f"{dim} of the shape {self.shape} from 0 to {self.shape[dim] - 1}")
        return self[(slice(None),) * dim + (index.reshape(-1),)]

    def gather(self, dim: int, index: Operand) -> Tensor:
        """y[i, j] = x[index[i, j], j] for dim 0, x[i, index[i, j]] for dim 1, and so on."""
        dim, index = self._axis(dim), as_indices(index)
        if self.ndim and index.ndim:
            return self._apply(gathering.gather, index, dim=dim)
        y = _listed(self)._apply(gathering.gather, _listed(index), dim=dim)
        return y if index.ndim else y.reshape(())

    def scatter_add(self, dim: int, index: Operand, src: Operand) -> Tensor:
        """This with src[i, j] added at [index[i, j], j] for dim 0, at [i, index[i, j]] for dim 1, and so
        on."""
        dim, index = self._axis(dim), as_indices(index)
        if self.ndim and index.ndim:
            return self._apply(gathering.scatter_add, index, src, dim=dim)
        y = _listed(self)._apply(gathering.scatter_add, _listed(index), _listed(src), dim=dim)
        return y if self.ndim else y.reshape(())

    def tril(self, diagonal: int = 0) -> Tensor:
        """The lower triangle of each matrix, zeros above `diagonal`."""
        return self.where(self._triangle("tril", diagonal), np.zeros((), self.dtype))

    def triu(self, diagonal: int = 0) -> Tensor:
        """The upper triangle of each matrix, zeros below `diagonal`."""
        return self.where(~self._triangle("triu", diagonal, -1), np.zeros((), self.dtype))

    def _triangle(self, op, diagonal, shift=0):
        """Of each matrix, where an entry lies on or below the diagonal number diagonal + shift."""
        if isinstance(diagonal, bool) or not isinstance(diagonal, (int, np.integer)):
            raise TypeError(f"{op}: diagonal is {diagonal!r}, wanted an int")
        if self.ndim < 2:
            raise ValueError(f"{op}: the tensor has shape {self.shape}, wanted (…, M, N)")
        return np.tri(*self.shape[-2:], diagonal + shift, dtype=bool)

    # Shapes

    def view(self, *shape: int) -> Tensor:
        """In another shape, one length of which may be -1: as reshape."""
        return self._apply(shapes.reshape, shape=as_ints(shape))

    def movedim(self, source: int, destination: int) -> Tensor:
        """With the axis `source` moved to `destination`."""
        source, destination = self._axis(source), self._axis(destination)
        order = list(range(self.ndim))
        if order:
            order.insert(destination, order.pop(source))
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
        """Without the axes `dim` (an int or several), where their length is 1; without any argument, without
        all such axes."""
        axes = [self._axis(d) for d in as_ints(dim)] if dim else range(self.ndim)
        index = tuple(0 if n == 1 and axis in axes else slice(None) for axis, n in enumerate(self.shape))
        return self[index] if 0 in index else self

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
