"""The methods of a Tensor that copy, repeat and turn round, with PyTorch's names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .arguments import whole
from .rules import shapes

if TYPE_CHECKING:
    from .tensor import Tensor


class Shaping:
    """What Tensor inherits from here."""

    __slots__ = ()

    def clone(self) -> Tensor:
        """A copy in memory of its own, through which gradients flow; with detach(), one that nothing
        records."""
        return self._apply(shapes.clone)

    def contiguous(self) -> Tensor:
        """This tensor, or a copy whose memory lies row by row (everything here takes any layout)."""
        return self if self._data.flags.c_contiguous else self.clone()

    def repeat(self, *sizes: int) -> Tensor:
        """Copies side by side, sizes[i] of them along axis i: NumPy's np.tile, not its np.repeat.

        sizes: ints of at least 0, one for each axis, or more: the first are then of new axes, before all
        others. Raises ValueError for fewer or negative ones.
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
        """A copy, back to front along `axes`, which may also be given as `dims`.

        Raises ValueError for one that is not there or comes twice.
        """
        dims = [self._axis(dim) for dim in (*whole("flip", "dims", axes), *whole("flip", "dims", (dims,)))]
        if len(set(dims)) < len(dims):
            raise ValueError(f"flip: the axes {dims} name one twice")
        if not self.ndim:
            return self.clone()
        back = slice(None, None, -1)
        return self[tuple(back if axis in dims else slice(None) for axis in range(self.ndim))].clone()

    def t(self) -> Tensor:
        """A matrix transposed; a vector or a scalar as it is.

        Raises ValueError for more axes, of which T reverses all and mT exchanges the last two.
        """
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
