"""The methods of a Tensor that move its entries about, with PyTorch's names: shapes, copies, parts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .arguments import Tensor, as_ints, is_int, whole
from .rules import shapes


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
        if not order:
            return self.permute(())
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
        return self._apply(shapes.permute, self, dims=tuple(order))

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
        have = (None,) * (len(shape) - self.ndim) + self.shape
        if len(have) == len(shape):
            shape = tuple(h if n == -1 and h is not None else n for n, h in zip(shape, have, strict=True))
        return self._apply(shapes.expand, self, shape=shape)

    def clone(self) -> Tensor:
        """A copy in memory of its own. Gradients flow through it, unless it is detached."""
        return self._apply(shapes.clone, self)

    def contiguous(self) -> Tensor:
        """This tensor, or a copy whose memory lies row by row (everything here takes any layout)."""
        return self if self._data.flags.c_contiguous else self.clone()

    def repeat(self, *sizes: int) -> Tensor:
        """Copies side by side, sizes[i] of them along axis i: NumPy's np.tile, not its np.repeat.

        sizes: ints of at least 0, one for each axis, or more, of which the first are for new axes in front.
        Raises ValueError for fewer or negative ones.
        """
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
        if not self.ndim:
            return self.clone()
        back = slice(None, None, -1)
        return self[tuple(back if axis in dims else slice(None) for axis in range(self.ndim))].clone()

    def t(self) -> Tensor:
        """A matrix transposed; a vector or a scalar as it is. Raises ValueError for more axes, of which T
        reverses all and mT exchanges the last two."""
        if self.ndim > 2:
            raise ValueError(f"t: the tensor has shape {self.shape}, wanted at most 2 axes")
        return self.permute(*reversed(range(self.ndim)))

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
        if not is_int(chunks) or chunks < 1:
            raise ValueError(f"chunk: chunks is {chunks!r}, wanted an int of at least 1")
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
