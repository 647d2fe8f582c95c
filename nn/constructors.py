"""New tensors, with PyTorch's names: of zeros, of ones, in steps, at random, of a NumPy array.

Shapes are given as ints or as one tuple, dtypes as NumPy's (np.float32, "int64", ...). Random numbers come
from nn.random.generator(), which nn.manual_seed seeds.
"""

from __future__ import annotations

import math
import sys
from types import ModuleType
from typing import Any

import numpy as np

from .arguments import numeric, sizes, whole
from .random import generator
from .tensor import Operand, Tensor, shared

__all__ = ["arange", "eye", "from_numpy", "full", "full_like", "linspace", "ones", "ones_like", "rand",
           "rand_like", "randint", "randn", "randn_like", "randperm", "zeros", "zeros_like"]


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of a copy of `data`: a number, nested lists of numbers, an array or a Tensor. dtype: that of
    an array if left out; float32 for Python's floats, int64 for its ints. requires_grad: floats only. Raises
    TypeError for what is not numeric, ValueError for lists of unequal lengths."""
    if dtype is None:
        return Tensor(data, requires_grad)
    dtype, made = numeric("tensor", dtype), Tensor(data).data
    if not (hasattr(data, "_operation") or isinstance(data, (np.ndarray, np.generic))) and dtype.kind == "f":
        made = np.array(data)  # Python's floats, of which a Tensor's float32 has lost half the digits
    return _made(made.astype(dtype, copy=False), requires_grad)


def from_numpy(array: np.ndarray) -> Tensor:
    """A Tensor of this very array, not of a copy: what is written into one is in the other. Backward does not
    notice what is written into the array from outside. Raises TypeError for anything but an array of floats,
    integers or booleans."""
    if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"from_numpy: got a {type(array).__name__}, wanted a NumPy array; nn.tensor takes "
                        "a copy of anything numeric")
    numeric("from_numpy", array.dtype)
    return shared(np.asarray(array))


def _pair(name, what, numbers, kinds="fiub"):
    """The functions `name` and `name`_like: numbers(shape, dtype) of a given shape, or that of another."""
    def shaped(*size: int, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
        return _made(numbers(sizes(name, size), numeric(name, dtype, kinds)), requires_grad)

    def like(input: Operand, dtype: Any = None, requires_grad: bool = False) -> Tensor:
        return _made(numbers(*_like(f"{name}_like", input, dtype, kinds)), requires_grad)

    floats = "floats only, " if kinds == "f" else ""
    shaped.__doc__ = f"""{what}, of the shape `size` (ints, or one tuple). dtype: {floats}float32 if left
    out; requires_grad: floats only. Raises TypeError for an invalid size or dtype, ValueError for a length
    below 0."""
    like.__doc__ = f"""{what}, of the shape of `input`, a tensor or an array. dtype: {floats}that of `input`
    if left out; requires_grad: floats only. Raises TypeError for anything but an array and a dtype."""
    shaped.__name__ = shaped.__qualname__ = name
    like.__name__ = like.__qualname__ = f"{name}_like"
    return shaped, like


def _uniform(shape, dtype):
    if dtype == np.float16:  # whose rounding would make a 1 of the greatest: multiples of 2⁻¹¹
        return (generator().integers(0, 1 << 11, shape) / (1 << 11)).astype(dtype)
    return generator().random(shape, np.float64 if dtype.itemsize > 4 else np.float32)


def _normal(shape, dtype):
    drawn = generator().standard_normal(shape, np.float64 if dtype.itemsize > 4 else np.float32)
    return np.asarray(drawn).astype(dtype)


zeros, zeros_like = _pair("zeros", "Zeros", np.zeros)
ones, ones_like = _pair("ones", "Ones", np.ones)
rand, rand_like = _pair("rand", "Random numbers, uniform in [0, 1)", _uniform, "f")
randn, randn_like = _pair("randn", "Random numbers, normal with mean 0 and variance 1", _normal, "f")


def full(size: int | tuple[int, ...], fill_value: float, dtype: Any = None,
         requires_grad: bool = False) -> Tensor:
    """The number `fill_value` everywhere, in the shape `size`, an int or a tuple. dtype: float32, int64 or
    bool if left out, as the number is a float, an int or a bool. requires_grad: floats only. Raises TypeError
    for an invalid size or dtype, ValueError for a length below 0."""
    number = _number("full", "fill_value", fill_value)
    usual = {bool: np.bool_, int: np.int64}.get(type(number), np.float32)
    dtype = usual if dtype is None else numeric("full", dtype)
    return _made(np.full(sizes("full", (size,)), number).astype(dtype), requires_grad)


def full_like(input: Operand, fill_value: float, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """The number `fill_value` in the shape and dtype of `input`, a tensor or an array, or in another dtype.
    requires_grad: floats only. Raises TypeError for anything but a number, an array and a dtype."""
    shape, dtype = _like("full_like", input, dtype)
    return _made(np.full(shape, _number("full_like", "fill_value", fill_value)).astype(dtype), requires_grad)


def arange(start: float, end: float | None = None, step: float = 1, dtype: Any = None,
           requires_grad: bool = False) -> Tensor:
    """start, start + step, … up to `end` exclusively; arange(n) is 0, 1, …, n − 1. dtype: int64 if all three
    are ints, else float32, if left out. requires_grad: floats only. Raises TypeError for what is not a
    number, ValueError for a step of 0 or one that leads away from `end`."""
    start, end = (0, start) if end is None else (start, end)
    given = {"start": start, "end": end, "step": step}
    numbers = [_number("arange", name, number) for name, number in given.items()]
    start, end, step = numbers
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"arange: {given} came, wanted finite numbers")
    if not step or (end - start) * step < 0:
        raise ValueError(f"arange: no step of {step} leads from {start} to {end}")
    usual = np.int64 if all(isinstance(n, int) for n in numbers) else np.float32
    made = np.arange(start, end, step, dtype=None if usual is np.int64 else np.float64)
    return _made(made.astype(usual if dtype is None else numeric("arange", dtype)), requires_grad)


def linspace(start: float, end: float, steps: int, dtype: Any = np.float32,
             requires_grad: bool = False) -> Tensor:
    """`steps` numbers at equal distances from `start` to `end`, both included. dtype: float32 if left out;
    requires_grad: floats only. Raises TypeError for what is not a number, ValueError for steps below 0."""
    ends = _number("linspace", "start", start), _number("linspace", "end", end)
    (steps,) = sizes("linspace", ([steps],))  # (a tuple alone would be taken for a shape)
    made = np.linspace(*ends, steps)
    return _made(made.astype(numeric("linspace", dtype)), requires_grad)


def eye(n: int, m: int | None = None, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """The n×n identity matrix, or n×m, with ones at [i, i]. dtype: float32 if left out; requires_grad: floats
    only. Raises TypeError or ValueError for other sizes."""
    rows, columns = sizes("eye", (n, n if m is None else m))
    return _made(np.eye(rows, columns, dtype=numeric("eye", dtype)), requires_grad)


def randint(low: int, high: int | tuple[int, ...], size: tuple[int, ...] | None = None,
            dtype: Any = np.int64) -> Tensor:
    """Random integers, uniform from `low` to `high` − 1, of the shape `size`, a tuple. randint(high, size)
    begins at 0. dtype: int64 if left out. Raises TypeError for anything but ints, ValueError if there is no
    integer to draw."""
    if size is None:
        low, high, size = 0, low, high
    low, high = whole("randint", "low, high", (low, high))
    if low >= high:
        raise ValueError(f"randint: there is no integer from {low} to {high} exclusively")
    drawn = np.asarray(generator().integers(low, high, sizes("randint", (size,))))
    return _made(drawn.astype(numeric("randint", dtype)), False)


def randperm(n: int) -> Tensor:
    """The integers 0 to n − 1 (int64) in random order. TypeError, ValueError for an invalid n."""
    (n,) = sizes("randperm", ([n],))
    return shared(generator().permutation(n))


def _made(array, requires_grad):
    return shared(np.asarray(array)).requires_grad_(requires_grad)


def _like(who, input, dtype, kinds="fiub"):
    """The shape of `input`, and the dtype, which is that of `input` if it is left out."""
    if not isinstance(input, (Tensor, np.ndarray)):
        raise TypeError(f"{who}: the input is a {type(input).__name__}, wanted a Tensor or an array")
    return input.shape, numeric(who, input.dtype if dtype is None else dtype, kinds)


def _number(who, name, value):
    """A number of Python's: what came as one, as a NumPy scalar or as a tensor of one entry."""
    if isinstance(value, (Tensor, np.ndarray, np.generic)) and value.size == 1:
        value = value.item()
    if not isinstance(value, (int, float)):
        raise TypeError(f"{who}: {name} is {value!r}, wanted a number")
    return value


class _Module(ModuleType):
    """The module nn.tensor, which is also PyTorch's function of that name: the two share the name in `nn`."""

    __call__ = staticmethod(tensor)  # (help(nn.tensor) is of the module, which says so)


sys.modules["nn.tensor"].__class__ = _Module
