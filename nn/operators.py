"""Operators, the methods of a Tensor that are one under PyTorch's name for it, and writes in place."""

from __future__ import annotations

import numpy as np

from .arguments import Operand, Tensor
from .context import ambient
from .half import F32, is_half
from .operation import LEAF
from .rules import arithmetic, choices, functions, linear
from .versions import wrote


def of_rule(rule):
    """A method that applies a rule to the tensor, and to what else the rule takes."""
    def method(self, *args: Operand, **kwargs: object) -> Tensor:
        return self._apply(rule, self, *args, **kwargs)
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


def _write(tensor, name, ufunc, other):
    array, other, dtype = tensor._data, getattr(other, "_data", other), F32 if is_half(tensor) else None
    try:
        ufunc(array, other, out=array, casting="same_kind", dtype=dtype)
    except (TypeError, ValueError) as error:
        raise (TypeError if isinstance(error, TypeError) else ValueError)(f"{name}: {error}") from None
    wrote(array)
    return tensor


def _augmented(ufunc, sign):
    """t += v and the like write where nothing is recorded. Elsewhere Python computes t = t + v."""
    def method(self, other):
        context = ambient.context
        if self._operation is LEAF and context.recording:
            raise RuntimeError(f"t {sign} v: a leaf that requires grad cannot be written to while operations "
                               "are recorded; write inside `with nn.no_grad():`, or compute a new tensor")
        if context.tracer is not None or (
                context.recording and (self._operation or getattr(other, "_operation", None))):
            return NotImplemented
        self._check_own(f"t {sign} v")
        return _write(self, f"t {sign} v", ufunc, other)
    return method


def _in_place(name, ufunc, doc):
    def method(self, other: Operand) -> Tensor:
        self._check_writable(name, other)
        return _write(self, name, ufunc, other)
    method.__doc__ = f"""{doc}, in place, where nothing is recorded; returns self.

    other: a tensor, an array or a number that broadcasts to this one. Raises RuntimeError for a tensor that
    requires grad outside nn.no_grad(), for a write cannot be recorded; TypeError for floats into integers."""
    return method


def _times_alpha(write):
    def method(self, other: Operand, *, alpha: float = 1) -> Tensor:
        return write(self, other if alpha == 1 else alpha * getattr(other, "_data", other))
    method.__doc__ = write.__doc__.replace("other", "alpha·other (alpha a number)", 1)
    return method


class Operators:
    """What Tensor inherits from here."""

    __slots__ = ()

    __neg__, __abs__, __invert__ = map(of_rule, (arithmetic.neg, functions.abs, choices.invert))
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

    mul_, div_ = _in_place("mul_", np.multiply, "self·other"), _in_place("div_", np.divide, "self/other")
    add_ = _times_alpha(_in_place("add_", np.add, "self + other"))
    sub_ = _times_alpha(_in_place("sub_", np.subtract, "self − other"))

    def fill_(self, value: float) -> Tensor:
        """Every entry set to `value`, a number, in place, as copy_; returns self."""
        return self.copy_(value)

    def zero_(self) -> Tensor:
        """Every entry set to 0, in place, as copy_; returns self."""
        return self.copy_(0)
