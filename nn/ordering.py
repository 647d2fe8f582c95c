"""The methods of a Tensor that ask which entry is greater: max and min, sort, topk."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .arguments import Dims, Operand, Tensor, is_int
from .rules import choices, gathering, order, reductions


class Ordered(NamedTuple):
    """Entries along an axis, and the places (int64) at which they stood. Gradients flow through `values`."""

    values: Tensor
    indices: Tensor


def _extreme(best, places, two, which):
    def method(self, dim: int | Operand | None = None, keepdim: bool = False, *, axis: Dims = None,
               keepdims: bool = False) -> Tensor | Ordered:
        if dim is None:
            return self._apply(best, self, dim=axis, keepdim=keepdim or keepdims)
        if axis is not None:
            raise TypeError(f"{best.name}: both dim and axis came; dim, PyTorch's, gives (values, indices), "
                            "axis, NumPy's, the values")
        if isinstance(dim, tuple):
            raise TypeError(f"{best.name}: dim is {dim}, wanted an int; over several axes there is "
                            f"a{best.name}(dim) or {best.name}(axis=dim)")
        if hasattr(dim, "dtype") and not isinstance(dim, np.integer):
            return self._apply(two, self, dim)
        x, dim = _row(self), _axis(best.name, self, dim)
        if not x.shape[dim]:
            raise IndexError(f"{best.name}: axis {dim} of the shape {self.shape} has no entries")
        at = x._apply(places, x, dim=dim, keepdim=True)
        values = x._apply(gathering.gather, x, at, dim=dim)
        if not (keepdim or keepdims):
            values, at = values.squeeze(dim), at.squeeze(dim)
        return Ordered(*(t.reshape(*self.shape) if not self.ndim else t for t in (values, at)))

    method.__doc__ = f"""The {which} entry.

    As in PyTorch: of all entries, without any argument; along `dim` (an int), the named tuple (values,
    indices), whose gradient goes to the first of equals; of a tensor and another that broadcasts, entry by
    entry. As in NumPy: with axis (an int, a tuple or None) and keepdims the values alone, whose gradient
    equals share; that is PyTorch's a{best.name}(dim, keepdim).
    NaN is {"greater" if which == "greatest" else "less"} than everything here.
    Raises IndexError for a dim that is not there or has no entries, ValueError if there is no entry at all.
    """
    return method


def _axis(name, x, dim):
    try:
        return x._axis(dim)
    except (TypeError, ValueError) as error:  # (an AxisError is a ValueError, and an IndexError)
        raise type(error)(f"{name}: {error}") from None


def _row(x):
    """A scalar as a vector of one, which is how it is ordered."""
    return x if x.ndim else x.reshape(1)


class Ordering:
    """What Tensor inherits from here."""

    __slots__ = ()

    max = _extreme(reductions.max, order.argmax, choices.maximum, "greatest")
    min = _extreme(reductions.min, order.argmin, choices.minimum, "least")

    def sort(self, dim: int = -1, descending: bool = False, stable: bool = True) -> Ordered:
        """The entries along `dim` in ascending or descending order: the named tuple (values, indices). Equals
        keep their order, whatever `stable` says. NaN counts as greater than all."""
        return self._first(None, _axis("sort", self, dim), descending)

    def argsort(self, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
        """The indices of `sort`, whose dim, descending and stable these are."""
        return self.sort(dim, descending).indices

    def topk(self, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Ordered:
        """The k greatest entries along `dim`, or the least if not `largest`: the tuple (values, indices).

        Of equals the first come first (PyTorch does not say which); they are in order whatever `sorted` says.
        NaN counts as greater than all. Raises ValueError for a k not from 0 to the axis's length.
        """
        dim = _axis("topk", self, dim)
        n = self.shape[dim] if self.ndim else 1
        if not is_int(k) or not 0 <= k <= n:
            raise ValueError(f"topk: k is {k!r}, wanted an int from 0 to {n}, the length of axis {dim} of "
                             f"the shape {self.shape}")
        return self._first(k, dim, largest)

    def _first(self, k, dim, descending):
        """The first k entries along `dim`, or all, in order."""
        x = _row(self)
        at = x._apply(order.argsort, x, dim=dim, descending=bool(descending))
        if k is not None and k < x.shape[dim]:
            at = at[(slice(None),) * dim + (slice(k),)]
        values = x._apply(gathering.gather, x, at, dim=dim)
        if not self.ndim and at.size == 1:
            values, at = values.reshape(()), at.reshape(())
        return Ordered(values, at)
