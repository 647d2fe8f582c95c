"""What the calls of a convolution whose filters are packed have in common: checked once, for many of them."""

from __future__ import annotations

from math import prod
from typing import Any

from .arguments import F32, vector
from .convolution import Geometry, contiguous, struct
from .native import ffi, from_buffer, lib


class Plan:
    """The checked geometry of a call, as C knows it for a contiguous x and result, and a checked bias.

    asked: what the caller said, (shape of x, stride, ...): a call that says the same needs no other plan.
    """

    __slots__ = ("asked", "bias", "c", "geometry", "keep", "kernel", "positions")

    def __init__(self, kernel: str, asked: tuple, geometry: Geometry) -> None:
        self.kernel, self.asked, self.geometry, self.bias = kernel, asked, geometry, None
        self.positions = prod(geometry.y[:3])    # of the result
        if lib is not None:
            self.c, self.keep = self.between(contiguous(geometry.x), contiguous(geometry.y))

    def between(self, x_strides: tuple, y_strides: tuple) -> tuple[Any, tuple]:
        """The same for arrays that lie in other ways."""
        at = self.geometry
        return struct(at.x, x_strides, at.y, y_strides, at.stride, at.groups, at.offsets())

    def checked(self, bias: Any) -> tuple:
        """The bias and its address. A layer gives the same array in every call: it is remembered."""
        known = self.bias   # once: other threads may come with another
        if known is None or known[0] is not bias:
            vector_ = vector(self.kernel, "bias", bias, self.geometry.y[3], F32)
            known = vector_, ffi and from_buffer(vector_)
            if vector_ is bias:
                self.bias = known
        return known
