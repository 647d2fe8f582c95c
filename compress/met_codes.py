"""Which codes the weights of an integer layer meet: what is proved about the values of a Program.

A value on a grid has the codes of its format, 0…255, or fewer where a ReLU or another clip ends them; what
only moves codes, or chooses among them, keeps their range. A column of a linear layer meets a row of them, a
filter a patch, whose pixels outside the image are the code of 0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from nn.geometry import positions
from nn.kernels import im2col
from nn.kernels.convolution import part

from .program.algorithms import filters
from .program.op import Line
from .program.ops.pointwise import ends_of

MOVES = ("clip", "permute", "reshape", "cat", "max_pool2d", "avg_pool2d")  # makes no code beyond those read


class Range(NamedTuple):
    """The codes low … high, those of them that a value can have."""

    low: int
    high: int

    def __str__(self) -> str:
        return f"{self.low}…{self.high}"


def code_ranges(program: Any) -> dict[str, Range]:
    """The range of every value of a Program that is on a grid."""
    found: dict[str, Range] = {}
    for line in program.lines:
        grid = line.made.grid
        if grid is None:
            continue
        low, high = grid.format.lowest, grid.format.highest
        if line.call.op in MOVES:
            read = [found[name] for name in line.call.inputs]
            low, high = min(one.low for one in read), max(one.high for one in read)
            if line.call.op == "avg_pool2d" and any(line["padding"]):  # which counts in the mean
                low, high = min(low, grid.zero), max(high, grid.zero)
        if "clip" in line.op.attributes:
            for choose, end in ends_of(line["clip"], grid):
                low, high = int(choose(low, end)), int(choose(high, end))
        found[line.call.output] = Range(low, high)
    return found


class Place(NamedTuple):
    """A place of the result, and the least and the greatest code that each weight meets there: (K,) each."""

    at: tuple[int, ...]
    low: np.ndarray
    high: np.ndarray


class Rows:
    """The codes that a matrix of weights (K, N) meets: rows of K of them, in `codes`, of this dtype."""

    def __init__(self, k: int, codes: Range, dtype: Any = np.uint8) -> None:
        self.k, self.codes, self.dtype = k, codes, np.dtype(dtype)

    @property
    def places(self) -> list[Place]:
        """One for all rows."""
        return [Place((), *(np.full(self.k, end, np.int16) for end in self.codes))]

    def input(self, place: Place, row: np.ndarray, column: int) -> np.ndarray:
        """The input, (1, K), in which a column meets this row."""
        return row[None].astype(self.dtype)

    def meet(self, x: np.ndarray) -> Iterator[tuple[np.ndarray, slice]]:
        """The rows of an input (…, K), and the columns that they meet: all."""
        yield x.reshape(prod(x.shape[:-1]), self.k), slice(None)


class Patches:
    """The codes that filters as a matrix (kH·kW·I, O) meet in images of a shape (1, H, W, C): patches, whose
    taps beyond the border meet the code `zero`. how: kernel, stride, padding, dilation; in groups."""

    def __init__(self, image: tuple[int, ...], o: int, groups: int, how: Mapping[str, tuple[int, int]],
                 codes: Range, zero: int, dtype: Any = np.uint8) -> None:
        self.image, self.o, self.groups, self.how = image, o, groups, dict(how)
        self.codes, self.zero, self.dtype = codes, zero, np.dtype(dtype)
        self.i = image[3] // groups  # channels of a filter

    @classmethod
    def of(cls, line: Line, codes: Range, zero: int, dtype: Any) -> Patches:
        """Those of a convolution in a Program."""
        (x,), (o, _, *kernel) = line.inputs, filters(line.weight())
        how = {"kernel": tuple(kernel), **{name: line[name] for name in ("stride", "padding", "dilation")}}
        return cls((1, *x.shape[1:]), o, line["groups"], how, codes, zero, dtype)

    @property
    def places(self) -> list[Place]:
        """One for each set of taps that meet pixels. Where the code of 0 is a code like any other, only for
        the largest of these sets: what can be reached beside the border, can be reached inside."""
        met = {(i, j): np.outer(down, across)
               for (i, down), (j, across) in product(self._taps(0), self._taps(1))}
        if self.codes.low <= self.zero <= self.codes.high:
            met = {at: some for at, some in met.items() if not any(
                (some <= other).all() and (some < other).any() for other in met.values())}
        return [Place(at, *(np.repeat(np.where(some.ravel(), end, self.zero), self.i).astype(np.int16)
                            for end in self.codes)) for at, some in met.items()]

    def _taps(self, axis: int) -> list[tuple[int, np.ndarray]]:
        """Along an axis each set of taps that meet pixels, and the middle position of those where it does."""
        size = self.image[1 + axis]
        kernel, stride, padding, dilation = (one[axis] for one in self.how.values())
        count = positions(size, kernel, stride, padding, dilation)
        pixels = np.arange(count)[:, None] * stride + np.arange(kernel) * dilation - padding
        inside = (pixels >= 0) & (pixels < size)
        found = [(np.flatnonzero((inside == some).all(axis=1)), some) for some in np.unique(inside, axis=0)]
        return [(int(at[len(at) // 2]), some) for at, some in found]

    def input(self, place: Place, row: np.ndarray, column: int) -> np.ndarray:
        """The image, (1, H, W, C), in which a column meets this row, at this place."""
        (kh, kw), (sh, sw), (ph, pw), (dh, dw) = self.how.values()
        image = np.full(self.image, np.clip(self.zero, *self.codes), self.dtype)
        channels = part(column // (self.o // self.groups), self.i)
        for (a, b), codes in zip(product(range(kh), range(kw)), row.reshape(kh * kw, self.i), strict=True):
            i, j = place.at[0] * sh + a * dh - ph, place.at[1] * sw + b * dw - pw
            if 0 <= i < self.image[1] and 0 <= j < self.image[2]:
                image[0, i, j, channels] = codes
        return image

    def meet(self, x: np.ndarray) -> Iterator[tuple[np.ndarray, slice]]:
        """The patches of images as rows, and the columns that they meet, group by group."""
        size, how = self.how["kernel"], {name: self.how[name] for name in ("stride", "padding", "dilation")}
        for group in range(self.groups):
            of_group = np.ascontiguousarray(x[..., part(group, self.i)])
            rows = im2col.reference(of_group, size, **how, fill=self.zero)
            yield rows.reshape(-1, rows.shape[-1]), part(group, self.o // self.groups)
