"""What a caller may give for an array, an index or a shape, as what NumPy wants."""

from __future__ import annotations

import math
import operator
import sys
from contextlib import suppress
from typing import Any, TypeAlias

import numpy as np

# For annotations alone: nn.tensor.Tensor is above this, and above all that a Tensor is made of.
Tensor: TypeAlias = Any
Operand: TypeAlias = "Tensor | np.ndarray | float"
Dims: TypeAlias = "int | tuple[int, ...] | None"

PLAIN = {np.ndarray, float, int, bool, type(None)}
ERRORS = TypeError, ValueError, IndexError, AttributeError, OverflowError  # that a rule's forward may raise


def as_array(data: Any) -> np.ndarray:
    """A fresh array of what a user gave: a Tensor, an array, numbers or nested lists of numbers. Raises
    TypeError for what is not numeric, ValueError for lists of unequal lengths."""
    data = data._data if hasattr(data, "_operation") else data  # (a masked array has a _data too)
    if isinstance(data, np.ma.MaskedArray):
        raise TypeError("Tensor: the data is a masked array, and a Tensor has no mask; wanted a plain array")
    array = _array("Tensor: the data", data)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"Tensor: the data is {array.dtype}, wanted floats, integers or booleans")
    if array.dtype == np.float64 and not isinstance(data, (np.ndarray, np.generic)):
        return array.astype(np.float32)  # Python's floats have no dtype of their own
    return array


_AS_IT_IS = {int, type(None), type(Ellipsis)}


def as_index(index: Any) -> tuple:
    """An index as a tuple of ints, slices of ints, None, Ellipsis, and arrays for all that NumPy takes as one
    (lists, tuples within the tuple, ranges, buffers, Tensors): new ones, for backward will need them. Raises
    ValueError for what makes no array, TypeError for a slice whose bounds are not integers."""
    index = index if isinstance(index, tuple) else (index,)
    return tuple(i if type(i) in _AS_IT_IS else _part(i) for i in index)


def _part(i):
    """One of the parts of an index, of which there may be one for each axis."""
    if isinstance(i, slice):
        bounds = i.start, i.stop, i.step
        if _AS_IT_IS.issuperset(map(type, bounds)):
            return i
        try:
            return slice(*(b if b is None else operator.index(b) for b in bounds))
        except TypeError:
            raise TypeError(f"index: the bounds of {i} must be integers or None") from None
    i = i.numpy() if hasattr(i, "_operation") else i
    if isinstance(i, np.ndarray):
        return np.array(i)
    if not isinstance(i, (bool, list, tuple)):  # (a truth value is an axis of length 1 or 0)
        with suppress(TypeError):
            return operator.index(i)
    return as_indices(i)


def as_indices(given: Any) -> Any:
    """Integers to look up by: a Tensor or an array as it is, all else that NumPy makes an array of as a new
    one; of nothing, it would have no dtype, but is meant as integers."""
    if isinstance(given, np.ndarray) or hasattr(given, "_operation"):
        return given
    array = _array(f"index: a {type(given).__name__}", given)
    return array if array.size else array.astype(np.intp)


def _array(what, given):
    try:
        return np.array(given)
    except ValueError as error:
        raise ValueError(f"{what} does not make an array: {error}") from None


def is_number(value: Any) -> bool:
    """Whether it is a real number: Python's or NumPy's, no truth value, no array of one."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def is_int(value: Any) -> bool:
    """Whether it is an integer: Python's or NumPy's, no truth value, no array of one."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def is_floats(value: Any) -> bool:
    """Whether it is an array of floats."""
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def number(who: str, name: str, value: Any, low: float = 0.0, high: float = math.inf, *,
           above: bool = False, closed: bool = False) -> float:
    """`value` as a float in [low, high): without `low` if `above`, with `high` if `closed`. Raises: TypeError
    for what is not a number, ValueError for one outside, each naming `who` and `name`."""
    if not is_number(value):
        raise TypeError(f"{who}: {name} must be a number, got {value!r}")
    if not ((low < value if above else low <= value) and (value <= high if closed else value < high)):
        wanted = f"in {'(' if above else '['}{low:g}, {high:g}{']' if closed else ')'}" if high < math.inf \
            else f"{'>' if above else '>='} {low:g}" + ("" if closed else " and finite")
        raise ValueError(f"{who}: {name} must be {wanted}, got {value}")
    return float(value)


def flag(who: str, name: str, value: Any) -> bool:
    """`value` as a bool; TypeError for what is not a truth value."""
    if value is True or value is False:  # as it nearly always is
        return value
    return bool(instance(who, name, value, np.bool_, "True or False"))


def instance(who: str, name: str, value: Any, kind: Any, wanted: str) -> Any:
    """`value`, after a check that it is an instance of `kind`; TypeError for anything else."""
    if not isinstance(value, kind):
        raise TypeError(f"{who}: {name} must be {wanted}, got {type(value).__name__}")
    return value


def count(who: str, name: str, value: Any, least: int = 1) -> int:
    """A whole number of at least `least`, as an int; ValueError for anything else."""
    if not is_int(value) or not least <= value <= sys.maxsize:
        raise ValueError(f"{who}: {name} must be a whole number >= {least}, got {value!r}")
    return int(value)


def as_ints(given: tuple) -> tuple[int, ...]:
    """Both f(2, 3) and f((2, 3)) mean (2, 3)."""
    return tuple(given[0]) if len(given) == 1 and isinstance(given[0], (tuple, list)) else given


def plain(rule, x):
    """An operand that is no Tensor: NumPy's scalars become numbers: np.float64(2) is not to make a float32
    tensor float64."""
    if type(x) in PLAIN:
        return x
    if isinstance(x, np.generic):
        return x.item()
    if isinstance(x, np.ndarray):
        return np.asarray(x)
    raise TypeError(f"{rule.name}: an operand is a {type(x).__name__}, wanted a Tensor, an array or a number")


def named(rule, arrays, error):
    """An error of rule.forward with the operation's name and the shapes in it."""
    if str(error).startswith(f"{rule.name}:"):
        return error
    came = ", ".join(str(getattr(a, "shape", a)) for a in arrays)
    # (An OverflowError is of an integer that no size or axis can be.)
    value = isinstance(error, (ValueError, OverflowError))
    kind = ValueError if value else IndexError if isinstance(error, IndexError) else TypeError
    return kind(f"{rule.name}: {error} (the inputs: {came})")


def whole(who: str, name: str, given: tuple) -> tuple[int, ...]:
    """Ints that came one by one, or as one list, as a tuple; TypeError for anything else."""
    given = as_ints(given)
    if not all(map(is_int, given)):
        raise TypeError(f"{who}: {name} is {given!r}, wanted ints")
    return tuple(int(n) for n in given)


def sizes(who: str, given: tuple) -> tuple[int, ...]:
    """The shape of a new tensor; ValueError for a length below 0."""
    shape = whole(who, "the shape", given)
    if min(shape, default=0) < 0:
        raise ValueError(f"{who}: the shape is {shape}, wanted lengths of at least 0")
    return shape


def numeric(who: str, dtype: Any, kinds: str = "fiub") -> np.dtype:
    """A dtype of a tensor; TypeError for anything else."""
    with suppress(TypeError):
        found = np.dtype(dtype)
        if found.kind in kinds:
            return found
    wanted = "floats" if kinds == "f" else "floats, integers or booleans"
    raise TypeError(f"{who}: dtype is {dtype!r}, wanted one of NumPy's: {wanted}")
