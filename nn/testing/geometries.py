"""A strategy of the geometries of convolutions: shapes, strides, paddings, dilations and groups that fit."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import strategies as st

from ..geometry import Pair, positions


class ConvGeometry(NamedTuple):
    """x: the shape of the images, (N, C, H, W); w: that of the filters, (O, C/groups, kH, kW). Strides,
    paddings and dilations are pairs, (vertical, horizontal)."""

    x: tuple[int, int, int, int]
    w: tuple[int, int, int, int]
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    @property
    def y(self) -> tuple[int, int, int, int]:
        """The shape of the result, (N, O, H', W')."""
        size = map(positions, self.x[2:], self.w[2:], self.stride, self.padding, self.dilation)
        return (self.x[0], self.w[0], *size)

    @property
    def options(self) -> dict[str, Pair | int]:
        """What nn.functional.conv2d is called with besides x and w."""
        return {name: getattr(self, name) for name in ("stride", "padding", "dilation", "groups")}


def conv_geometries(largest: int = 7, channels: int = 3) -> st.SearchStrategy[ConvGeometry]:
    """Geometries in which every window fits, if only because of the padding.

    largest: the height and width of images at most, but for what a window needs. channels: of a group at
    most, and filters. Strides are up to 3, so that they leave pixels out; paddings up to 2, so that windows
    lie in nothing but padding; dilations up to 2; groups up to 3; batches up to 2.
    """
    few, size = st.integers(1, channels), st.integers(1, largest)

    def pair(low: int, high: int) -> st.SearchStrategy[Pair]:
        one = st.integers(low, high)
        return st.tuples(one, one)

    return st.builds(_fitting, st.integers(1, 2), st.integers(1, 3), few, few, st.tuples(size, size),
                     pair(1, 3), pair(1, 3), pair(0, 2), pair(1, 2))


def _fitting(n, groups, channels, filters, size, kernel, stride, padding, dilation) -> ConvGeometry:
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    h, w = (max(s, span - 2 * p) for s, span, p in zip(size, spans, padding, strict=True))
    return ConvGeometry((n, groups * channels, h, w), (groups * filters, channels, *kernel), stride, padding,
                        dilation, groups)
