"""The methods of a Tensor that give another dtype, plain Python, or a new tensor like it."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arguments import Tensor, numeric, sizes
from .rules import arithmetic, shapes


def _to(dtype, doc):
    def method(self) -> Tensor:
        return self.astype(dtype)
    method.__doc__ = doc
    return method


def _new(name, number):
    def method(self, *size: int, dtype: Any = None, requires_grad: bool = False) -> Tensor:
        return _filled(self, name, size, number, dtype, requires_grad)
    method.__doc__ = f"""new_full(size, {number}), of ints or one tuple: in this tensor's dtype or another.

    requires_grad: floats only. Raises TypeError for what is not a size or a dtype, ValueError for a length
    below 0.
    """
    return method


def _filled(like, who, size, number, dtype, requires_grad):
    dtype = like.dtype if dtype is None else numeric(who, dtype)
    return like._shared(np.full(sizes(who, size), number).astype(dtype)).requires_grad_(requires_grad)


class Converting:
    """What Tensor inherits from here."""

    __slots__ = ()

    def astype(self, dtype: Any) -> Tensor:
        """In another dtype; no gradient flows through integers and booleans."""
        dtype = np.dtype(dtype)
        return self._apply(arithmetic.cast if dtype.kind == "f" else arithmetic.truncate, self, dtype=dtype)

    def detach(self) -> Tensor:
        """The same array, out of the graph: no gradient flows back through it."""
        return self._apply(shapes.detach, self)

    float = _to(np.float32, "As float32.")
    double = _to(np.float64, "As float64.")
    half = _to(np.float16, "As float16.")
    int = _to(np.int32, "As int32, cut off towards 0: no gradient.")
    long = _to(np.int64, "As int64, cut off towards 0: no gradient.")
    bool = _to(np.bool_, "Whether each entry is not 0: no gradient.")

    def to(self, dtype: Any) -> Tensor:
        """In another dtype, one of NumPy's or another tensor's; the tensor itself if it has that already.

        No gradient flows through integers and booleans. Raises TypeError for what is no dtype (nor device).
        """
        dtype = numeric("to", dtype.dtype if hasattr(dtype, "_operation") else dtype)
        return self if dtype == self.dtype else self.astype(dtype)

    def type_as(self, other: Tensor) -> Tensor:
        """In the dtype of `other`."""
        return self.to(other.dtype)

    def tolist(self) -> Any:
        """The entries as Python's numbers, in nested lists; of a scalar, the number. Raises nn.TraceError
        while a network is traced, which may not depend on values."""
        return self._value("tolist()").tolist()

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set requires_grad, and return this tensor. RuntimeError if it was computed, TypeError if it does
        not hold floats."""
        self.requires_grad = requires_grad
        return self

    def new_full(self, size: int | tuple[int, ...], fill_value: float, dtype: Any = None,
                 requires_grad: bool = False) -> Tensor:
        """The number `fill_value` in the shape `size`, in this tensor's dtype or another.

        requires_grad: floats only. Raises TypeError for what is not a size or a dtype, ValueError for a
        length below 0.
        """
        return _filled(self, "new_full", (size,), fill_value, dtype, requires_grad)

    new_zeros, new_ones = _new("new_zeros", 0), _new("new_ones", 1)
