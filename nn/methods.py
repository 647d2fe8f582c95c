"""The methods of a Tensor that compute, with PyTorch's names: functions, choices, reductions, look-ups."""

from __future__ import annotations

import numpy as np

from .arguments import Dims, Operand, Tensor, as_indices, is_int, is_number
from .explain import explain
from .rules import RULES, choices, cumulative, gathering, order, reductions, softmax

OVER_AXES = """dim: an axis, a tuple of axes, or None for all. keepdim: whether those stay, at length 1. axis
and keepdims: NumPy's names for the two. Raises ValueError for an axis that is not there."""


def _of_rule(rule):
    def method(self, *args: Operand, **kwargs: object) -> Tensor:
        return self._apply(rule, self, *args, **kwargs)
    method.__doc__ = rule.formula
    return method


def _reduction(rule):
    def method(self, dim: Dims = None, keepdim: bool = False, *, axis: Dims = None,
               keepdims: bool = False) -> Tensor:
        return self._apply(rule, self, dim=self._axes(dim if axis is None else axis),
                           keepdim=keepdim or keepdims)
    method.__doc__ = f"{rule.formula}\n\n{OVER_AXES}"
    return method


def _spread(rule):
    def method(self, dim: Dims = None, correction: int = 1, keepdim: bool = False) -> Tensor:
        return self._apply(rule, self, dim=self._axes(dim), correction=correction, keepdim=keepdim)
    method.__doc__ = f"""{rule.formula}

    dim: an axis, a tuple of axes, or None for all. correction: c, for the denominator n − c. keepdim: whether
    the axes stay, at length 1. Raises ValueError if the denominator is not positive.
    """
    return method


def _at_places(rule, x, index, dim, *src):
    """A rule that looks up along an axis, for which scalars are vectors of one, as in PyTorch."""
    dim, index = x._axis(dim), as_indices(index)
    if x.ndim and index.ndim:
        return x._apply(rule, x, index, *src, dim=dim)
    return x._apply(rule, *map(_listed, (x, index, *src)), dim=dim)


def _listed(x):
    """A scalar as a vector of one: as in PyTorch, methods that work along an axis take it for that."""
    if not isinstance(x, (int, float)):
        return x if x.ndim else x.reshape(1)
    return np.array([x])


class Methods:
    """What Tensor inherits from here. `self._apply` is nn.tensor.apply: it applies a rule to tensors. Rules
    whose record says method=True are added below the class."""

    __slots__ = ()

    def clamp(self, min: Operand | None = None, max: Operand | None = None) -> Tensor:
        """Each entry, but at least min and at most max (numbers or tensors; max if min > max)."""
        return self._apply(choices.clamp, self, min, max)

    clip = clamp

    def where(self, condition: Operand, other: Operand) -> Tensor:
        """This where the condition holds, else other."""
        return self._apply(choices.where, condition, self, other)

    def masked_fill(self, mask: Operand, value: Operand) -> Tensor:
        """`value` where the mask holds, else this."""
        return self._apply(choices.where, mask, value, self)

    # Over axes

    sum, mean, prod = map(_reduction, (reductions.sum, reductions.mean, cumulative.prod))
    amax, amin, logsumexp = map(_reduction, (reductions.max, reductions.min, softmax.logsumexp))
    argmax, argmin = map(_reduction, (order.argmax, order.argmin))
    any, all = map(_reduction, (reductions.any, reductions.all))

    var, std = map(_spread, (reductions.var, reductions.std))

    def norm(self, p: float | str = 2, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """The p-norm (Σ|x|ᵖ)¹ᐟᵖ over `dim`, an axis, a tuple of axes, or None for all.

        p: a number; ∞ (or −∞) for the greatest (or least) |x|, 0 for how many entries are not 0, "fro" for
        2. keepdim: whether the axes stay, at length 1. The gradient where an entry is 0 is 0. Raises
        TypeError for integers, ValueError for another p, and for an infinite or negative one over nothing.
        """
        p = 2 if p is None or p == "fro" else p
        if not is_number(p) or np.isnan(p):
            raise ValueError(f"norm: p is {p!r}, wanted a number, or 'fro' for 2")
        return self._apply(reductions.norm, self, p=float(p), dim=self._axes(dim), keepdim=keepdim)

    def cumsum(self, dim: int) -> Tensor:
        """The running sums along `dim`."""
        return self._apply(cumulative.cumsum, self, dim=self._axis(dim))

    def cumprod(self, dim: int) -> Tensor:
        """The running products along `dim`; their gradient is right beside zeros, too."""
        return self._apply(cumulative.cumprod, self, dim=self._axis(dim))

    def softmax(self, dim: int) -> Tensor:
        """eˣ/Σeˣ over `dim`."""
        return self._apply(softmax.softmax, self, dim=self._axes(dim))

    def log_softmax(self, dim: int) -> Tensor:
        """x − log Σeˣ over `dim`."""
        return self._apply(softmax.log_softmax, self, dim=self._axes(dim))

    # By an index

    def index_select(self, dim: int, index: Operand) -> Tensor:
        """The slices of `dim` that `index`, a list of integers, names, in its order. Raises TypeError for
        anything but such a list, IndexError for an integer that is not there."""
        dim = self._axis(dim)
        index = as_indices(index)
        index = index.numpy() if hasattr(index, "_operation") else index
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
        y = _at_places(gathering.gather, self, index, dim)
        return y if np.ndim(getattr(index, "_data", index)) else y.reshape(())

    def scatter_add(self, dim: int, index: Operand, src: Operand) -> Tensor:
        """This with src[i, j] added at [index[i, j], j] for dim 0, [i, index[i, j]] for dim 1, and so on."""
        y = _at_places(gathering.scatter_add, self, index, dim, src)
        return y if self.ndim else y.reshape(())

    def tril(self, diagonal: int = 0) -> Tensor:
        """The lower triangle of each matrix, zeros above `diagonal`."""
        return self.where(self._triangle("tril", diagonal), np.zeros((), self.dtype))

    def triu(self, diagonal: int = 0) -> Tensor:
        """The upper triangle of each matrix, zeros below `diagonal`."""
        return self.where(~self._triangle("triu", diagonal, -1), np.zeros((), self.dtype))

    def _triangle(self, op, diagonal, shift=0):
        """Of each matrix, where an entry lies on or below the diagonal number diagonal + shift."""
        if not is_int(diagonal):
            raise TypeError(f"{op}: diagonal is {diagonal!r}, wanted an int")
        if self.ndim < 2:
            raise ValueError(f"{op}: the tensor has shape {self.shape}, wanted (…, M, N)")
        return np.tri(*self.shape[-2:], diagonal + shift, dtype=bool)

    def explain(self) -> str:
        """How this was computed, and how backward goes through it, as text: see nn.explain."""
        return explain(self)


for _rule in RULES.values():
    if _rule.method:
        setattr(Methods, _rule.name, _of_rule(_rule))
