"""Arrays in the memory of the device. They cross only where it is said: `to_device(x)`, and `x.numpy()`."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from functools import cache
from math import prod
from operator import index
from typing import Any

import numpy as np

from . import elementwise, reduce
from .allocator import Allocator
from .elementwise import OnlyOnHost, View
from .library import library
from .pending import contiguous, flush
from .stream import Event, current


@cache
def allocator() -> Allocator:
    """That of this process."""
    return Allocator(library())


class Block:
    """Memory that arrays share; it goes back when the last of them is gone."""

    __slots__ = ("__weakref__", "address", "nbytes")

    def __init__(self, nbytes: int) -> None:
        stream = int(library().ffi.cast("uintptr_t", current()))
        self.nbytes, self.address = nbytes, allocator().allocate(nbytes, stream)
        weakref.finalize(self, allocator().release, self.address, nbytes, stream).atexit = False


class DeviceArray(np.lib.mixins.NDArrayOperatorsMixin):
    """Numbers on the device, without gaps, the last axis fastest. shape, dtype, ndim, size, nbytes as NumPy
    has them. Made by `empty`, `to_device` and by kernels; a kernel that gets one runs there, and so do
    NumPy's functions of numbers one by one, x + 1 and np.maximum(x, 0, out=x) (elementwise.py).

    host: the same numbers in NumPy, where they are known to stay what they are (`constant`)."""

    __slots__ = ("address", "block", "dtype", "host", "shape")
    __array_priority__ = 100

    def __init__(self, block: Block, address: int, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.block, self.address, self.shape, self.dtype, self.host = block, address, shape, dtype, None

    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: prod(self.shape))
    itemsize = property(lambda self: self.dtype.itemsize)
    nbytes = property(lambda self: self.size * self.dtype.itemsize)
    base = property(lambda self: self.block)  # what arrays that share memory have in common

    @property
    def pointer(self) -> Any:
        """For the library, which finds there all that was asked for before."""
        flush()
        return library().ffi.cast("void *", self.address)

    def numpy(self) -> np.ndarray:
        """A copy in NumPy's memory, when all that was asked before is done. Raises what went wrong on the
        way."""
        out = np.empty(self.shape, self.dtype)
        found = library()
        if out.nbytes:
            found.call("nn_cuda_download", found.ffi.from_buffer(out), self.pointer, out.nbytes, current())
        found.call("nn_cuda_synchronize", current())
        return out

    def set(self, x: np.ndarray) -> DeviceArray:
        """Overwrite with the numbers of an array of this shape and dtype. Raises ValueError for another."""
        if self.host is not None:
            raise ValueError("set: the array is a constant")
        if not isinstance(x, np.ndarray) or x.shape != self.shape or x.dtype != self.dtype:
            came = f"{x.dtype}{x.shape}" if isinstance(x, np.ndarray) else type(x).__name__
            raise ValueError(f"set: wanted {self.dtype}{self.shape}, got {came}")
        x, found = np.ascontiguousarray(x), library()
        if x.nbytes:
            found.call("nn_cuda_upload", self.pointer, found.ffi.from_buffer(x), x.nbytes, current())
            found.call("nn_cuda_synchronize", current())  # x may be changed from here on
        return self

    def copy_from(self, other: DeviceArray) -> DeviceArray:
        """Overwrite with another array of the device, of this shape and dtype. Raises ValueError."""
        if not isinstance(other, DeviceArray):
            raise ValueError(f"copy_from: wanted an array of the device, got {type(other).__name__}")
        if self.host is not None or (other.shape, other.dtype) != (self.shape, self.dtype):
            raise ValueError(f"copy_from: {other} does not fit {self}, or that is a constant")
        library().call("nn_cuda_copy", self.pointer, other.pointer, self.nbytes, current())
        return self

    def reshape(self, *shape: Any) -> DeviceArray:
        """The same memory in another shape; one size may be -1. Raises ValueError where it does not fit."""
        if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
            (shape,) = shape
        others = -prod(shape) if shape.count(-1) == 1 else 0
        shape = tuple(self.size // others if n == -1 and others else index(n) for n in shape)
        if min(shape, default=0) < 0 or prod(shape) != self.size:
            raise ValueError(f"reshape: {self.shape} has not as many numbers as {shape}")
        made = DeviceArray(self.block, self.address, shape, self.dtype)
        made.host = None if self.host is None else self.host.reshape(shape)
        return made

    def view(self, dtype: Any) -> DeviceArray:
        """The same bytes as numbers of another dtype of the same size."""
        dtype = np.dtype(dtype)
        if dtype.itemsize != self.dtype.itemsize:
            raise ValueError(f"view: {dtype} is not of the size of {self.dtype}")
        made = DeviceArray(self.block, self.address, self.shape, dtype)
        made.host = None if self.host is None else self.host.view(dtype)
        return made

    def overlaps(self, other: DeviceArray) -> bool:
        """Whether a byte of the one is a byte of the other."""
        first, second = sorted((self, other), key=lambda x: x.address)
        return self.size > 0 < other.size and first.address + first.nbytes > second.address

    def transpose(self, *axes: Any) -> View:
        """Its axes in another order, for np.copyto and other functions of numbers; nothing moves yet."""
        return self._view().transpose(*axes)

    def _view(self) -> View:
        return View(self, self.shape, contiguous(self.shape))

    def astype(self, dtype: Any) -> DeviceArray:
        """A copy in another dtype, cast as NumPy does."""
        made = self.like(self.shape, np.dtype(dtype))
        elementwise.copy(made, self, casting="unsafe")
        return made

    def max(self, axis: Any = None, keepdims: bool = False) -> DeviceArray:
        """The greatest number along the last axes."""
        return np.maximum.reduce(self, axis=axis, keepdims=keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> DeviceArray:
        """The least number along the last axes."""
        return np.minimum.reduce(self, axis=axis, keepdims=keepdims)

    def sum(self, axis: Any = None, keepdims: bool = False) -> DeviceArray:
        """The sum along the last axes."""
        return np.add.reduce(self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> DeviceArray:
        """The mean along the last axes."""
        return reduce.mean(self, axis, keepdims)

    def copy(self) -> DeviceArray:
        """The same in memory of its own."""
        return self.astype(self.dtype)

    def like(self, shape: tuple[int, ...], dtype: Any) -> DeviceArray:
        """A new array on the device of this one, whose numbers are anything."""
        return empty(shape, dtype)

    def __getitem__(self, key: Any) -> DeviceArray | View:
        """A part in the same memory: of the first axis, x[i] and x[i:j], or all of it, x[...], an array; else
        a View. Raises OnlyOnHost for what no number and no slice chooses."""
        if key is Ellipsis:
            return self
        plain = type(key) is int or (isinstance(key, slice) and key.step in (None, 1))
        if not self.shape or not plain:
            return self._view()[key]
        first, tail = range(self.shape[0])[key], self.shape[1:]
        shape = tail if isinstance(first, int) else (len(first), *tail)
        start = first if isinstance(first, int) else first.start
        return DeviceArray(self.block, self.address + start * prod(tail) * self.itemsize, shape, self.dtype)

    def __setitem__(self, key: Any, x: Any) -> None:
        elementwise.copy(self[key], x)

    def __array_ufunc__(self, function: np.ufunc, method: str, *inputs: Any, **how: Any) -> Any:
        if method == "reduce":
            return reduce.reduce(function, *inputs, **how)
        return elementwise.ufunc(function, method, inputs, **how)

    def __array_function__(self, function: Any, types: Any, given: tuple, how: dict[str, Any]) -> Any:
        if function not in FUNCTIONS:
            raise OnlyOnHost(f"np.{function.__name__} is not computed on the device")
        return FUNCTIONS[function](*given, **how)

    def room(self, shape: tuple[int, ...], dtype: Any) -> DeviceArray:
        """An array in the same memory, from its start on. Raises ValueError where that is too short."""
        made = DeviceArray(self.block, self.address, shape, np.dtype(dtype))
        if made.nbytes > self.nbytes:
            raise ValueError(f"room: {self.nbytes} bytes have no room for {made.dtype}{shape}")
        return made

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len: an array of no axes")
        return self.shape[0]

    def __bool__(self) -> bool:
        raise OnlyOnHost("what an array of the device holds is not known here: take x.numpy()")

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise OnlyOnHost("an array of the device does not cross by itself: take x.numpy()")

    def __reduce__(self) -> Any:
        raise TypeError("an array of the device is neither copied nor pickled by itself: take x.numpy()")

    def __repr__(self) -> str:
        return f"<{self.dtype} {'x'.join(map(str, self.shape))} on the device>"


def empty(shape: int | tuple[int, ...], dtype: Any = np.float32) -> DeviceArray:
    """An array whose numbers are anything. Raises OutOfMemory; ValueError for a negative size."""
    shape = (shape,) if isinstance(shape, int) else tuple(map(index, shape))
    if min(shape, default=0) < 0:
        raise ValueError(f"empty: sizes must not be negative, got {shape}")
    dtype = np.dtype(dtype)
    block = Block(prod(shape) * dtype.itemsize)
    return DeviceArray(block, block.address, shape, dtype)


def concatenate(values: Sequence[DeviceArray], axis: int = 0, out: DeviceArray | None = None) -> DeviceArray:
    """np.concatenate of arrays of the device, of one dtype."""
    first, axis = values[0], range(values[0].ndim)[axis]
    shapes = {(*x.shape[:axis], ..., *x.shape[axis + 1:]) for x in values}
    shape = (*first.shape[:axis], sum(x.shape[axis] for x in values), *first.shape[axis + 1:])
    out = empty(shape, first.dtype) if out is None else out
    if len(shapes) > 1 or {x.dtype for x in values} != {out.dtype} or out.shape != shape:
        raise ValueError(f"concatenate: {', '.join(map(str, values))} along axis {axis} are not {out}")
    found, at, rows = library(), 0, prod(shape[:axis])
    pitch = prod(shape[axis:]) * out.itemsize
    for x in values:
        width = prod(x.shape[axis:]) * x.itemsize
        if rows * width:
            found.call("nn_cuda_copy_rows", rows, width, x.pointer, width,
                       found.ffi.cast("void *", out.address + at), pitch, current())
        at += width
    return out


FUNCTIONS = {  # beside those of numbers one by one
    np.copyto: elementwise.copy, np.concatenate: concatenate, np.max: DeviceArray.max,
    np.min: DeviceArray.min, np.sum: DeviceArray.sum, np.mean: DeviceArray.mean}


def to_device(x: Any) -> DeviceArray:
    """A copy on the device of a NumPy array, or of what np.asarray makes one; an array of the device itself.
    Raises TypeError for objects, OutOfMemory."""
    if isinstance(x, DeviceArray):
        return x
    x = np.asarray(x)
    if x.dtype.kind not in "fiub" or not x.dtype.isnative:
        raise TypeError(f"to_device: numbers are wanted, got {x.dtype}")
    return empty(x.shape, x.dtype).set(x)


def constant(x: np.ndarray) -> DeviceArray:
    """The same for numbers that stay what they are: their values can be looked at without a crossing."""
    made = to_device(x)
    made.host = x.copy()
    made.host.flags.writeable = False
    return made


def vector(x: Any, n: int, dtype: Any) -> DeviceArray:
    """n numbers of a dtype: of a number, or of a vector there or here."""
    if isinstance(x, DeviceArray):
        return x if x.dtype == dtype else to_device((x.numpy() if x.host is None else x.host).astype(dtype))
    return to_device(np.broadcast_to(x, (n,)).astype(dtype))


def memory() -> dict[str, int]:
    """Bytes on the device: in_use by arrays of this process, kept for later ones."""
    return allocator().memory()


def copy_speed(nbytes: int = 1 << 28) -> float:
    """Bytes a second that the device reads and writes while it copies: the best of five."""
    x, y, found, best = empty(nbytes, np.uint8), empty(nbytes, np.uint8), library(), 0.0
    for _ in range(5):
        start, stop = Event(), Event()
        start.record()
        found.call("nn_cuda_copy", y.pointer, x.pointer, nbytes, current())
        best = max(best, 2e3 * nbytes / max(start.until(stop.record()), 1e-6))
    return best


def empty_cache() -> None:
    """Give what is kept for later arrays back to the device."""
    allocator().empty()
