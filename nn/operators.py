"""Operators, the methods of a Tensor that are one under PyTorch's name for it, and writes in place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .arguments import Operand, Tensor
from .context import ambient
from .half import F32, is_half
from .operation import LEAF
from .rules import Rule, arithmetic, choices, functions, linear
from .versions import wrote


def _unary(rule: Rule) -> Callable[..., Tensor]:
    def method(self) -> Tensor:
        return self._apply(rule, self)
    method.__doc__ = rule.formula
    return method


def _binary(rule):
    def method(self, other: Operand) -> Tensor:
        return self._apply(rule, self, other)
    method.__doc__ = f"{rule.formula}\n\nother: a tensor, an array or a number; the two broadcast."
    return method


def _swapped(rule):
    return lambda self, other: self._apply(rule, other, self)


def _product(name, axes, doc):
    def method(self, other: Operand) -> Tensor:
        shapes = self.shape, np.shape(getattr(other, "_data", other))
        if tuple(map(len, shapes)) != axes:
            raise ValueError(f"{name}: tensors of shapes {shapes[0]} and {shapes[1]} came, wanted "
                             f"{axes[0]} and {axes[1]} axes")
        return self._apply(linear.matmul, self, other)
    method.__doc__ = f"{doc} `a @ b` takes any number of axes.\n\nRaises ValueError for other shapes."
    return method


def _augmented(ufunc, sign):
    """t += v and the like write where nothing is recorded. Elsewhere Python computes t = t + v."""
    def write(self, other):
        context = ambient.context
        if self._operation is LEAF and context.recording:
            raise RuntimeError(f"t {sign} v: a leaf that requires grad cannot be written to while operations "
                               "are recorded; write inside `with nn.no_grad():`, or compute a new tensor")
        if context.tracer is not None or (
                context.recording and (self._operation or getattr(other, "_operation", None))):
            return NotImplemented
        self._check_own(f"t {sign} v")
        dtype = F32 if is_half(self) else None
        ufunc(self._data, getattr(other, "_data", other), out=self._data, casting="same_kind", dtype=dtype)
        wrote(self._data)
        return self
    return write


def _written(name, ufunc, doc):
    def method(self, other: Operand) -> Tensor:
        return _write(self, name, ufunc, other)
    method.__doc__ = f"{doc}, {_IN_PLACE}"
    return method


def _written_times(name, ufunc, doc):
    def method(self, other: Operand, *, alpha: float = 1) -> Tensor:
        return _write(self, name, ufunc, other if alpha == 1 else alpha * getattr(other, "_data", other))
    method.__doc__ = f"{doc}, alpha a number, {_IN_PLACE}"
    return method


_IN_PLACE = """in place, where nothing is recorded; returns self.

other: a tensor, an array or a number that broadcasts to this one. Raises RuntimeError for a tensor that
requires grad outside nn.no_grad(), for a write cannot be recorded; TypeError for floats into integers."""


def _write(self, name, ufunc, other):
    self._check_writable(name, other)
    try:
        ufunc(self._data, getattr(other, "_data", other), out=self._data, casting="same_kind")
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name}: {error}") from None
    wrote(self._data)
    return self


class Operators:
    """What Tensor inherits from here."""

    __slots__ = ()

    __neg__, __abs__, __invert__ = map(_unary, (arithmetic.neg, functions.abs, choices.invert))
    __add__, __sub__, __mul__ = map(_binary, (arithmetic.add, arithmetic.sub, arithmetic.mul))
    __truediv__, __pow__, __matmul__ = map(_binary, (arithmetic.div, arithmetic.pow, linear.matmul))
    __radd__, __rsub__, __rmul__ = map(_swapped, (arithmetic.add, arithmetic.sub, arithmetic.mul))
    __rtruediv__, __rpow__, __rmatmul__ = map(_swapped, (arithmetic.div, arithmetic.pow, linear.matmul))
    __and__, __or__ = map(_binary, (choices.both, choices.either))
    maximum, minimum = map(_binary, (choices.maximum, choices.minimum))
    __lt__, __le__, __gt__ = map(_binary, (arithmetic.lt, arithmetic.le, arithmetic.gt))
    __ge__, __eq__, __ne__ = map(_binary, (arithmetic.ge, arithmetic.eq, arithmetic.ne))
    __iadd__, __isub__ = _augmented(np.add, "+="), _augmented(np.subtract, "-=")
    __imul__, __itruediv__ = _augmented(np.multiply, "*="), _augmented(np.divide, "/=")

    add, sub, mul, div, matmul = __add__, __sub__, __mul__, __truediv__, __matmul__
    lt, le, gt, ge, eq, ne, neg = __lt__, __le__, __gt__, __ge__, __eq__, __ne__, __neg__

    def pow(self, exponent: Operand) -> Tensor:
        """self ** exponent, a number or a tensor that broadcasts."""
        return self._apply(arithmetic.pow, self, exponent)

    def square(self) -> Tensor:
        """x·x."""
        return self * self

    def reciprocal(self) -> Tensor:
        """1/x."""
        return 1 / self

    def rsqrt(self) -> Tensor:
        """1/√x."""
        return 1 / self.sqrt()

    mm = _product("mm", (2, 2), "The product of two matrices.")
    bmm = _product("bmm", (3, 3), "The products of the matrices of two batches.")
    mv = _product("mv", (2, 1), "The product of a matrix and a vector.")
    dot = _product("dot", (1, 1), "The scalar product of two vectors.")

    # In place

    add_ = _written_times("add_", np.add, "self + alpha·other")
    sub_ = _written_times("sub_", np.subtract, "self − alpha·other")
    mul_ = _written("mul_", np.multiply, "self·other")
    div_ = _written("div_", np.divide, "self/other")

    def fill_(self, value: float) -> Tensor:
        """Every entry set to `value`, a number, in place, as copy_; returns self."""
        return self.copy_(value)

    def zero_(self) -> Tensor:
        """Every entry set to 0, in place, as copy_; returns self."""
        return self.copy_(0)
