"""The methods of a Tensor that compute nothing, with PyTorch's names: other shapes, copies, parts, dtypes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .arguments import Tensor, as_ints, count, is_int, numeric, sizes, whole
from .rules import arithmetic, shapes


def _to(dtype, how=""):
    def method(self) -> Tensor:
        return self.astype(dtype)
    method.__doc__ = f"As {dtype.__name__}{how}."
    return method


def _new(name, number):
    def method(self, *size: int, dtype: Any = None, requires_grad: bool = False) -> Tensor:
        return _filled(self, name, size, number, dtype, requires_grad)
    method.__doc__ = f"new_full(size, {number}, dtype, requires_grad); the size as ints or as one tuple."
    return method


def _filled(like, who, size, number, dtype, requires_grad):
    dtype = like.dtype if dtype is None else numeric(who, dtype)
    return like._shared(np.full(sizes(who, size), number).astype(dtype)).requires_grad_(requires_grad)


class Shaping:
    """What Tensor inherits from here."""

    __slots__ = ()

    def reshape(self, *shape: int) -> Tensor:
        """The same entries in another shape, one length of which may be -1."""
        return self._apply(shapes.reshape, self, shape=as_ints(shape))

    view = reshape

    def permute(self, *dims: int) -> Tensor:
        """All axes in the new order `dims`."""
        return self._apply(shapes.permute, self, dims=as_ints(dims))

    def transpose(self, *dims: int) -> Tensor:
        """The two axes `dims` exchanged; or, as in NumPy, a tuple of all axes in a new order. Raises
        TypeError for another number of axes."""
        if len(dims) == 1:
            return self.permute(*dims)
        if len(dims) != 2:
            raise TypeError(f"transpose: {len(dims)} axes came, wanted two, or a tuple of all")
        order, (a, b) = list(range(self.ndim)), map(self._axis, dims)
        if order:
            order[a], order[b] = order[b], order[a]
        return self.permute(order)

    T = property(lambda self: self.permute(*reversed(range(self.ndim))), doc="All axes reversed.")
    mT = property(lambda self: self.transpose(-2, -1), doc="Each matrix of a batch transposed.")

    def movedim(self, source: int, destination: int) -> Tensor:
        """With the axis `source` moved to `destination`."""
        source, destination = self._axis(source), self._axis(destination)
        order = list(range(self.ndim))
        if order:
            order.insert(destination, order.pop(source))
        return self.permute(order)

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """The axes start_dim to end_dim as one. Raises ValueError for missing or exchanged axes."""
        start, end = self._axis(start_dim), self._axis(end_dim)
        if start > end:
            raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim} in {self.shape}")
        length = math.prod(self.shape[start:end + 1])
        return self.reshape(*self.shape[:start], length, *self.shape[end + 1:])

    def squeeze(self, *dim: int) -> Tensor:
        """Without those of the axes `dim` (an int or several; all if left out) whose length is 1."""
        axes = [self._axis(d) for d in as_ints(dim)] if dim else range(self.ndim)
        index = tuple(0 if n == 1 and axis in axes else slice(None) for axis, n in enumerate(self.shape))
        return self[index] if 0 in index else self

    def unsqueeze(self, dim: int) -> Tensor:
        """With a new axis of length 1 at `dim`."""
        return self[(slice(None),) * self._axis(dim, self.ndim + 1) + (None,)]

    def expand(self, *shape: int) -> Tensor:
        """Repeated, without a copy, to a shape it broadcasts to; -1 keeps a length."""
        shape = as_ints(shape)
        have = (-1,) * (len(shape) - self.ndim) + self.shape
        if len(have) == len(shape):
            shape = tuple(h if n == -1 else n for n, h in zip(shape, have, strict=True))
        return self._apply(shapes.expand, self, shape=shape)

    def clone(self) -> Tensor:
        """A copy in memory of its own. Gradients flow through it, unless it is detached."""
        return self._apply(shapes.clone, self)

    def contiguous(self) -> Tensor:
        """This tensor, or a copy whose memory lies row by row (everything here takes any layout)."""
        return self if self._data.flags.c_contiguous else self.clone()

    def repeat(self, *sizes: int) -> Tensor:
        """Copies side by side, sizes[i] of them along axis i: NumPy's np.tile, not its np.repeat. sizes: ints
        of at least 0, one for each axis, or more, of which the first are for new axes in front. Raises
        ValueError for fewer or negative ones."""
        sizes = whole("repeat", "sizes", sizes)
        new = len(sizes) - self.ndim
        if new < 0 or min(sizes, default=0) < 0:
            raise ValueError(f"repeat: the sizes {sizes} came for the shape {self.shape}, wanted one of at "
                             "least 0 for each axis, or more")
        have = (*(1,) * new, *self.shape)
        apart = self.reshape(*(n for length in have for n in (1, length)))
        apart = apart.expand(*(n for pair in zip(sizes, have, strict=True) for n in pair)).clone()
        return apart.reshape(*(size * length for size, length in zip(sizes, have, strict=True)))

    def flip(self, *axes: int, dims: int | tuple[int, ...] = ()) -> Tensor:
        """A copy, back to front along `axes`, which may also be given as `dims`. Raises ValueError for an
        axis that is not there or comes twice."""
        dims = [self._axis(dim) for dim in (*whole("flip", "dims", axes), *whole("flip", "dims", (dims,)))]
        if len(set(dims)) < len(dims):
            raise ValueError(f"flip: the axes {dims} name one twice")
        steps = (-1 if axis in dims else None for axis in range(self.ndim))
        return self[tuple(slice(None, None, step) for step in steps)].clone()

    def t(self) -> Tensor:
        """A matrix transposed; a vector or a scalar as it is. Raises ValueError for more axes, of which T
        reverses all and mT exchanges the last two."""
        if self.ndim > 2:
            raise ValueError(f"t: the tensor has shape {self.shape}, wanted at most 2 axes")
        return self.T

    def view_as(self, other: Tensor) -> Tensor:
        """In the shape of `other`."""
        return self.reshape(*other.shape)

    reshape_as = view_as

    def expand_as(self, other: Tensor) -> Tensor:
        """Repeated, without a copy, to the shape of `other`."""
        return self.expand(*other.shape)

    def dim(self) -> int:
        """How many axes: NumPy's ndim."""
        return self.ndim

    def numel(self) -> int:
        """How many entries: NumPy's size."""
        return self.size

    # Parts

    def split(self, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
        """Parts along `dim`; split_size: the length of each (the last may be shorter), or a list of their
        lengths. Raises ValueError for lengths that do not add up, TypeError for anything but ints."""
        dim = self._axis_of_parts("split", dim)
        n, sizes = self.shape[dim], split_size
        if is_int(sizes):
            if sizes < min(n, 1):
                raise ValueError(f"split: the length of a part is {sizes}, wanted at least 1")
            sizes = [min(sizes, n - start) for start in range(0, n, sizes or 1)] or [0]
        if not isinstance(sizes, (tuple, list)) or not all(isinstance(s, (int, np.integer)) for s in sizes):
            raise TypeError(f"split: wanted an int or a list of ints, got {split_size!r}")
        if sum(sizes) != n or min(sizes, default=0) < 0:
            raise ValueError(f"split: the lengths {list(sizes)} do not add up to the {n} of axis {dim} of "
                             f"the shape {self.shape}")
        ends = np.cumsum(sizes).tolist()
        return tuple(self[(slice(None),) * dim + (slice(end - size, end),)]
                     for end, size in zip(ends, sizes, strict=True))

    def chunk(self, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
        """At most `chunks` parts along `dim`, all of the same length but perhaps the last. Raises ValueError
        for fewer than one."""
        chunks = count("chunk", "chunks", chunks)
        n = self.shape[self._axis_of_parts("chunk", dim)]
        return self.split(-(-n // chunks), dim) if n else self.split([0] * chunks, dim)

    def unbind(self, dim: int = 0) -> tuple[Tensor, ...]:
        """The slices along `dim`, without it."""
        dim = self._axis_of_parts("unbind", dim)
        return tuple(self[(slice(None),) * dim + (i,)] for i in range(self.shape[dim]))

    def _axis_of_parts(self, op, dim):
        if not self.ndim:
            raise ValueError(f"{op}: the tensor is a scalar, which has no parts; wanted at least one axis")
        return self._axis(dim)

    # In another dtype, as Python's numbers, and new ones

    def astype(self, dtype: Any) -> Tensor:
        """In another dtype; no gradient flows through integers and booleans."""
        dtype = np.dtype(dtype)
        return self._apply(arithmetic.cast if dtype.kind == "f" else arithmetic.truncate, self, dtype=dtype)

    def detach(self) -> Tensor:
        """The same array, out of the graph: no gradient flows back through it."""
        return self._apply(shapes.detach, self)

    float, double, half = map(_to, (np.float32, np.float64, np.float16))
    int, long = (_to(dtype, ", cut off towards 0: no gradient") for dtype in (np.int32, np.int64))
    bool = _to(np.bool_, ": whether each entry is not 0; no gradient")

    def to(self, dtype: Any) -> Tensor:
        """In another dtype, one of NumPy's or another tensor's; the tensor itself if it has that already. No
        gradient flows through integers and booleans. Raises TypeError for what is no dtype (nor device)."""
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
        """The number `fill_value` in the shape `size`, in this tensor's dtype or another. requires_grad:
        floats only. Raises TypeError for what is not a size or a dtype, ValueError for a length below 0."""
        return _filled(self, "new_full", (size,), fill_value, dtype, requires_grad)

    new_zeros, new_ones = _new("new_zeros", 0), _new("new_ones", 1)
