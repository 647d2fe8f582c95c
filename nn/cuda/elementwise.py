"""NumPy's functions of numbers one by one, for arrays of the device: they join what is pending there.

    np.add(x, 1.0, out=y)      x + y      np.copyto(y, x.transpose(0, 2, 1))

What dtypes meet, which are cast and how shapes broadcast is NumPy's own answer; float32, int32, int8 and
uint8 are what the device computes in. What it does not compute is an OnlyOnHost: nothing crosses by itself.
Results are those of IEEE 754 but for exp, log, tanh and erf, which are within the bounds that CUDA gives
(CUDA C++ Programming Guide, "Mathematical Functions": 2 units in the last place)."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..context import ambient
from .pending import (
    KINDS,
    MOST_AXES,
    ZEROS,
    Pending,
    Region,
    contiguous,
    lock,
    numbers_of_instructions,
    pending,
)
from .stream import current

# What computes each function, in the types that it has there.
OPERATIONS = {
    np.add: "add", np.subtract: "subtract", np.multiply: "multiply", np.divide: "divide",
    np.maximum: "maximum", np.minimum: "minimum", np.negative: "negative", np.absolute: "absolute",
    np.sqrt: "sqrt", np.exp: "exp", np.log: "log", np.tanh: "tanh", np.rint: "rint", np.less: "less",
    np.less_equal: "less_equal", np.equal: "equal", np.isfinite: "isfinite", np.right_shift: "right_shift"}
TURNED = {np.greater: np.less, np.greater_equal: np.less_equal}  # of the arguments the other way round
COMPUTED = {np.dtype("f4"): "float", **dict.fromkeys(map(np.dtype, ("i4", "i1", "u1")), "int")}
BYTES = {np.dtype("u1"): "to_byte", np.dtype("i1"): "to_char"}
KEEPS = ("maximum", "minimum", "right_shift")  # no result is larger than what it is made of


class OnlyOnHost(TypeError):
    """The device does not compute this; x.numpy() brings an array to where NumPy does."""


class View(np.lib.mixins.NDArrayOperatorsMixin):
    """Numbers of an array of the device in another order, or some of them, for functions of numbers one by
    one. They stay where they are; x.copy() has them one after the other. strides: in numbers; first: which
    one is the first."""

    def __init__(self, array: Any, shape: tuple[int, ...], strides: tuple[int, ...], first: int = 0) -> None:
        self.array, self.shape, self.strides, self.first = array, shape, strides, first

    dtype = property(lambda self: self.array.dtype)
    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: prod(self.shape))

    def copy(self) -> Any:
        """An array of its own."""
        made = self.array.like(self.shape, self.dtype)
        copy(made, self)
        return made

    def reshape(self, *shape: Any) -> Any:
        """An array of its own, in another shape."""
        return self.copy().reshape(*shape)

    def transpose(self, *axes: Any) -> View:
        """The axes in another order. Raises ValueError for what is no order of them."""
        axes = tuple(axes[0]) if len(axes) == 1 and isinstance(axes[0], (tuple, list)) else axes
        axes = axes or tuple(reversed(range(self.ndim)))
        if sorted(axes) != list(range(self.ndim)):
            raise ValueError(f"transpose: {axes} are no order of {self.ndim} axes")
        shape, strides = (tuple(one[axis] for axis in axes) for one in (self.shape, self.strides))
        return View(self.array, shape, strides, self.first)

    def __getitem__(self, key: Any) -> View:
        """Some of them, by numbers, slices that go forward, None and an ellipsis. Raises OnlyOnHost for
        others."""
        key = key if isinstance(key, tuple) else (key,)
        taken = sum(one is not None and one is not Ellipsis for one in key)
        kinds = {type(one) for one in key} <= {int, slice, type(None), type(Ellipsis)}
        if not kinds or taken > self.ndim or sum(one is Ellipsis for one in key) > 1:
            raise OnlyOnHost("of an array on the device only numbers and slices are taken")
        at = key.index(Ellipsis) if Ellipsis in key else len(key)
        key = (*key[:at], *[slice(None)] * (self.ndim - taken), *key[at + 1:])
        shape, strides, first, axis = [], [], self.first, 0
        for one in key:
            if one is None:
                shape.append(1), strides.append(0)
                continue
            part, step = range(self.shape[axis])[one], self.strides[axis]
            axis += 1
            if isinstance(part, int):
                first += part * step
            elif part.step < 0:
                raise OnlyOnHost("of an array on the device no slice goes backward")
            else:
                first += part.start * step if part else 0
                shape.append(len(part)), strides.append(step * part.step)
        return View(self.array, tuple(shape), tuple(strides), first)

    def __array_ufunc__(self, function: np.ufunc, method: str, *inputs: Any, **how: Any) -> Any:
        return ufunc(function, method, inputs, **how)

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise OnlyOnHost("an array of the device does not cross by itself")


def is_there(x: Any) -> bool:
    """Whether x lies on the device."""
    return hasattr(x, "block") or isinstance(x, View)


def ufunc(function: np.ufunc, method: str, inputs: tuple, out: Any = None, **how: Any) -> Any:
    """NumPy's `function`, where one of the inputs, or `out`, lies on the device. Raises OnlyOnHost for what
    is not computed there, and what NumPy raises for dtypes and shapes that do not fit."""
    if function in TURNED:
        function, inputs = TURNED[function], inputs[::-1]
    if method != "__call__" or function not in OPERATIONS or how.keys() - {"dtype", "casting"}:
        what = function.__name__ + (f".{method}" if method != "__call__" else "")
        raise OnlyOnHost(f"np.{what} is not computed on the device")
    casting, dtype = how.get("casting", "same_kind"), how.get("dtype")
    asked = tuple(x.dtype if is_there(x) else type(x) if type(x) in (int, float) else np.asarray(x).dtype
                  for x in inputs)
    loop = {} if dtype is None else {"signature": (*(None for _ in inputs), np.dtype(dtype))}
    *takes, gives = function.resolve_dtypes((*asked, None), casting=casting, **loop)
    kinds = {COMPUTED.get(one) for one in takes}
    name = f"{OPERATIONS[function]}_{kinds.pop()}"
    if kinds or gives not in KINDS or name not in numbers_of_instructions():
        came = ", ".join(map(str, takes))
        raise OnlyOnHost(f"np.{function.__name__} of {came} is not computed on the device")
    (out,) = out if isinstance(out, tuple) else (out,)
    return operation(name, inputs, takes, gives, out, casting)


def operation(name: str, inputs: tuple, takes: list[np.dtype], gives: np.dtype, out: Any = None,
              casting: str = "same_kind") -> Any:
    """One instruction of the device. takes, gives: the dtypes that it computes in; name "": none, a copy."""
    shape = np.broadcast_shapes(*(getattr(x, "shape", ()) for x in inputs))
    first = next(x for x in (*inputs, out) if is_there(x))
    made = (first.array if isinstance(first, View) else first).like(shape, gives) if out is None else out
    if not hasattr(made, "block") or np.broadcast_shapes(made.shape, shape) != made.shape:
        raise ValueError(f"the result has the shape {shape}; out must be on the device, of that shape, got "
                         f"{getattr(made, 'shape', type(made).__name__)}")
    if not np.can_cast(gives, made.dtype, casting):
        raise TypeError(f"cannot cast {gives} to {made.dtype} with casting {casting!r}")
    if made.dtype not in KINDS or made.ndim > MOST_AXES:
        raise OnlyOnHost(f"{made.dtype} of {made.ndim} axes is not computed on the device")
    to = region(made, made.shape)
    regions = [region(x, made.shape) if is_there(x) else None for x in inputs]
    if any(r is not None and r.meets(to) and not r.is_like(to) for r in regions):  # others write there
        made = operation(name, inputs, takes, gives, made.like(made.shape, made.dtype), casting)
        return operation("", (made,), [made.dtype], made.dtype, out)
    with lock:
        work = pending(current(), ambient.context.stream)
        work.begin(made.shape, [r for r in regions if r is not None], to)
        values = [number(work, x, dtype) if r is None else cast(work, work.read(r), r.dtype, dtype)
                  for x, r, dtype in zip(inputs, regions, takes, strict=True)]
        result = work.do(name, *values) if name else values[0]
        if gives in BYTES and name and not name.startswith(KEEPS):
            result = work.do(BYTES[gives], result)
        work.write(to, cast(work, result, gives, made.dtype))
    return made


def count_not_finite(x: Any, counter: Any) -> None:
    """Add to a counter, one int32 on the device, how many numbers of x are NaN or infinity."""
    read = region(x, x.shape)
    with lock:
        work, to = pending(current(), ambient.context.stream), region(counter, ())
        work.begin(x.shape, [read], to)
        work.write(to, work.do("isfinite_float", work.read(read)), ZEROS)


def region(x: Any, shape: tuple[int, ...]) -> Region:
    """An array, as an operation with a result of this shape goes through it."""
    array = x.array if isinstance(x, View) else x
    if array.dtype not in KINDS:
        raise OnlyOnHost(f"{array.dtype} is not computed on the device")
    strides = x.strides if isinstance(x, View) else contiguous(x.shape)
    first = x.first if isinstance(x, View) else 0
    ahead = len(shape) - len(x.shape)
    steps = (0 if size == 1 else step for size, step in zip(x.shape, strides, strict=True))
    strides = (*[0] * ahead, *steps)
    start = first * array.dtype.itemsize
    return Region(array.block, array.address + start, array.nbytes - start, array.dtype, strides)


def number(work: Pending, x: Any, dtype: np.dtype) -> int:
    """One number. Raises OnlyOnHost for an array that does not lie on the device."""
    if np.ndim(x):
        raise OnlyOnHost("an array of the host beside one of the device: take nn.cuda.to_device(x)")
    found = np.asarray(x if np.ndim(x) else dtype.type(x), dtype)
    return work.number(int(found.view(np.uint32)) if dtype.kind == "f" else int(found) & 0xffffffff)


def cast(work: Pending, value: int, came: np.dtype, wanted: np.dtype) -> int:
    """A number of one dtype as one of another, as NumPy's astype has it."""
    if came == wanted:
        return value
    if wanted.kind == "b":
        return work.do("to_bool_of_float" if came.kind == "f" else "to_bool", value)
    if came.kind != "f" and wanted.kind == "f":
        return work.do("to_float", value)
    if came.kind == "f":
        value = work.do("to_int", value)
    return work.do(BYTES[wanted], value) if wanted in BYTES else value


def copy(out: Any, x: Any, casting: str = "same_kind") -> None:
    """np.copyto: the numbers of an array or a View of the device, or one number, broadcast."""
    dtype = x.dtype if is_there(x) else out.dtype
    operation("", (x,), [dtype], dtype, out, casting)
