"""The methods of a Tensor that compute, with PyTorch's names: choices, reductions, look-ups, sorting."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .arguments import Dims, Operand, Tensor, as_indices, flag, is_int, is_number
from .explain import explain
from .operators import of_rule
from .rules import RULES, choices, cumulative, gathering, reductions, softmax

AXES = """dim: an axis, a tuple of axes, or None for all. keepdim: whether those stay, at length 1."""


def _reduction(rule):
    def method(self, dim: Dims = None, keepdim: bool = False, *, axis: Dims = None,
               keepdims: bool = False) -> Tensor:
        return self._apply(rule, self, dim=self._axes(dim if axis is None else axis),
                           keepdim=_keeps(rule.name, keepdim, keepdims))
    method.__doc__ = f"{rule.formula}\n\n{AXES}\naxis and keepdims: NumPy's names for the two. " \
                     "Raises ValueError for an axis that is not there."
    return method


def _spread(rule):
    def method(self, dim: Dims = None, correction: int = 1, keepdim: bool = False) -> Tensor:
        return self._apply(rule, self, dim=self._axes(dim), correction=correction,
                           keepdim=_keeps(rule.name, keepdim))
    method.__doc__ = f"{rule.formula}\n\n{AXES}\ncorrection: c, for the denominator n − c. " \
                     "Raises ValueError if that is not positive."
    return method


def _along(rule, axis="_axis"):
    def method(self, dim: int) -> Tensor:
        return self._apply(rule, self, dim=getattr(self, axis)(dim))
    method.__doc__ = f"{rule.formula}\n\ndim: the axis. Raises ValueError for one that is not there."
    return method


def _triangle(name, upper, doc):
    def method(self, diagonal: int = 0) -> Tensor:
        if not is_int(diagonal):
            raise TypeError(f"{name}: diagonal is {diagonal!r}, wanted an int")
        if self.ndim < 2:
            raise ValueError(f"{name}: the tensor has shape {self.shape}, wanted (…, M, N)")
        lower = np.tri(*self.shape[-2:], diagonal - upper, dtype=bool)
        return self.where(lower != upper, np.zeros((), self.dtype))
    method.__doc__ = f"{doc} `diagonal`. Raises TypeError for no int, ValueError for fewer than two axes."
    return method


class Ordered(NamedTuple):
    """Entries along an axis, and the places (int64) at which they stood. Gradients flow through `values`."""

    values: Tensor
    indices: Tensor


def _extreme(best, places, two, which):
    def method(self, dim: int | Operand | None = None, keepdim: bool = False, *, axis: Dims = None,
               keepdims: bool = False) -> Tensor | Ordered:
        name = best.name
        if dim is None:
            return self._apply(best, self, dim=axis, keepdim=_keeps(name, keepdim, keepdims))
        if axis is not None:
            raise TypeError(f"{name}: both dim and axis came; dim, PyTorch's, gives (values, indices), axis, "
                            "NumPy's, the values")
        if isinstance(dim, tuple):
            raise TypeError(f"{name}: dim is {dim}, wanted an int; over several axes there is a{name}(dim) "
                            f"or {name}(axis=dim)")
        if hasattr(dim, "dtype") and not isinstance(dim, np.integer):
            return self._apply(two, self, dim)
        x, dim = _row(self), self._axis(dim, who=f"{name}: ")
        if not x.shape[dim]:
            raise IndexError(f"{name}: axis {dim} of the shape {self.shape} has no entries")
        at = x._apply(places, x, dim=dim, keepdim=True)
        return _ordered(self, at, dim, squeezed=not _keeps(name, keepdim, keepdims))

    method.__doc__ = f"""The {which} entry.

    As in PyTorch: of all entries, without any argument; along `dim` (an int), the named tuple (values,
    indices), whose gradient goes to the first of equals; of a tensor and another that broadcasts, entry by
    entry. As in NumPy: with axis (an int, a tuple or None) and keepdims the values alone, whose gradient
    equals share; that is PyTorch's a{best.name}(dim, keepdim).
    NaN is {"greater" if which == "greatest" else "less"} than everything here.
    Raises IndexError for a dim that is not there or has no entries, ValueError if there is no entry at all.
    """
    return method


def _keeps(name, keepdim, keepdims=False):
    """Whether axes stay. x.sum(0, 1), which is meant to sum over two of them, is refused."""
    return flag(name, "keepdim", keepdim) | flag(name, "keepdims", keepdims)


def _row(x):
    """A scalar as a vector of one: as in PyTorch, methods that work along an axis take it for that."""
    if isinstance(x, (int, float)):
        return np.array([x])
    return x if getattr(x, "ndim", 1) else x.reshape(1)


def _ordered(x, at, dim, squeezed=False):
    """The entries at these places along dim, and the places; both without that axis if `squeezed`."""
    values = x._apply(gathering.gather, _row(x), at, dim=dim)
    if squeezed or (not x.ndim and at.size == 1):
        values, at = values.squeeze(dim), at.squeeze(dim)
    return Ordered(values, at)


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

    sum, mean, any, all = map(_reduction, (reductions.sum, reductions.mean, reductions.any, reductions.all))
    amax, amin, logsumexp = map(_reduction, (reductions.max, reductions.min, softmax.logsumexp))
    argmax, argmin, prod = map(_reduction, (reductions.argmax, reductions.argmin, cumulative.prod))
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
        return self._apply(reductions.norm, self, p=float(p), dim=self._axes(dim),
                           keepdim=_keeps("norm", keepdim))

    cumsum, cumprod = map(_along, (cumulative.cumsum, cumulative.cumprod))
    softmax, log_softmax = _along(softmax.softmax, "_axes"), _along(softmax.log_softmax, "_axes")

    # By an index

    def index_select(self, dim: int, index: Operand) -> Tensor:
        """The slices of `dim` that `index`, a list of integers, names, in its order. Raises TypeError for
        anything but such a list, IndexError for an integer that is not there."""
        dim, x, index = self._axis(dim), _row(self), as_indices(index)
        index = index.numpy() if hasattr(index, "_operation") else index
        if index.dtype.kind not in "iu" or index.ndim > 1:
            raise TypeError(f"index_select: the index is {index.dtype} of shape {index.shape}, wanted a "
                            "list of integers")
        if not self.ndim and index.size != 1:
            raise ValueError(f"index_select: the tensor is a scalar, from which one index selects, "
                             f"{index.size} came")
        if index.size and not 0 <= index.min() <= index.max() < x.shape[dim]:
            raise IndexError(f"index_select: the index goes from {index.min()} to {index.max()}, but axis "
                             f"{dim} of the shape {self.shape} from 0 to {x.shape[dim] - 1}")
        y = x[(slice(None),) * dim + (index.reshape(-1),)]
        return y if self.ndim else y.reshape(())

    def gather(self, dim: int, index: Operand) -> Tensor:
        """y[i, j] = x[index[i, j], j] for dim 0, x[i, index[i, j]] for dim 1, and so on."""
        index = as_indices(index)
        y = self._apply(gathering.gather, _row(self), _row(index), dim=self._axis(dim))
        return y if index.ndim else y.reshape(())

    def scatter_add(self, dim: int, index: Operand, src: Operand) -> Tensor:
        """This with src[i, j] added at [index[i, j], j] for dim 0, [i, index[i, j]] for dim 1, and so on.
        Raises TypeError for a src that is a number, ValueError for one that is smaller than the index."""
        x, index = _row(self), as_indices(index)
        if is_number(src) and self.ndim and index.ndim:
            raise TypeError(f"scatter_add: src is {src!r}, wanted a tensor or an array")
        y = self._apply(gathering.scatter_add, x, _row(index), _row(src), dim=self._axis(dim))
        return y if self.ndim else y.reshape(())

    tril = _triangle("tril", False, "The lower triangle of each matrix, zeros above")
    triu = _triangle("triu", True, "The upper triangle of each matrix, zeros below")

    # In the order of their size

    max = _extreme(reductions.max, reductions.argmax, choices.maximum, "greatest")
    min = _extreme(reductions.min, reductions.argmin, choices.minimum, "least")

    def sort(self, dim: int = -1, descending: bool = False, stable: bool = True) -> Ordered:
        """The entries along `dim` in ascending or descending order: the named tuple (values, indices). Equals
        keep their order, whatever `stable` says. NaN counts as greater than all."""
        dim = self._axis(dim, who="sort: ")
        descending = flag("sort", "descending", descending)
        at = self._apply(reductions.argsort, _row(self), dim=dim, descending=descending)
        return _ordered(self, at, dim)

    def argsort(self, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
        """The indices of `sort`, whose dim, descending and stable these are."""
        return self.sort(dim, descending).indices

    def topk(self, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Ordered:
        """The k greatest entries along `dim`, or the least if not `largest`: the tuple (values, indices). Of
        equals the first come first (PyTorch does not say which); they are in order whatever `sorted` says.
        NaN counts as greater than all. Raises ValueError for a k not from 0 to the axis's length."""
        dim = self._axis(dim, who="topk: ")
        n = self.shape[dim] if self.ndim else 1
        if not is_int(k) or not 0 <= k <= n:
            raise ValueError(f"topk: k is {k!r}, wanted an int from 0 to {n}, the length of axis {dim} of "
                             f"the shape {self.shape}")
        largest = flag("topk", "largest", largest)
        at = self._apply(reductions.argsort, _row(self), dim=dim, descending=largest)
        return _ordered(self, at if k == n else at[(slice(None),) * dim + (slice(k),)], dim)

    explain = explain


for _rule in RULES.values():
    if _rule.method:
        setattr(Methods, _rule.name, of_rule(_rule))
