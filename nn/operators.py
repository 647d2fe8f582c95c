"""The methods of a Tensor that are an operator, or a line of others, under the name that PyTorch gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import backward as engine
from .rules import arithmetic, linear

if TYPE_CHECKING:
    from .tensor import Operand, Tensor


def _binary(rule):
    def method(self, other: Operand) -> Tensor:
        return self._apply(rule, other)
    method.__doc__ = f"{rule.formula}\n\nother: a tensor, an array or a number; the two broadcast."
    return method


def _product(name, axes, doc):
    def method(self, other: Operand) -> Tensor:
        shapes = self.shape, np.shape(getattr(other, "_data", other))
        if tuple(map(len, shapes)) != axes:
            raise ValueError(f"{name}: tensors of shapes {shapes[0]} and {shapes[1]} came, wanted "
                             f"{axes[0]} and {axes[1]} axes")
        return self._apply(linear.matmul, other)
    method.__doc__ = f"{doc} `a @ b` takes any number of axes.\n\nRaises ValueError for other shapes."
    return method


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
    engine.wrote(self._data)
    return self


class Operators:
    """What Tensor inherits from here."""

    __slots__ = ()

    add, sub, mul, div = map(_binary, (arithmetic.add, arithmetic.sub, arithmetic.mul, arithmetic.div))
    eq, ne, lt = map(_binary, (arithmetic.eq, arithmetic.ne, arithmetic.lt))
    le, gt, ge = map(_binary, (arithmetic.le, arithmetic.gt, arithmetic.ge))

    def pow(self, exponent: Operand) -> Tensor:
        """self ** exponent, a number or a tensor that broadcasts."""
        return self._apply(arithmetic.pow, exponent)

    def neg(self) -> Tensor:
        """−x."""
        return self._apply(arithmetic.neg)

    def square(self) -> Tensor:
        """x·x."""
        return self._apply(arithmetic.mul, self)

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
