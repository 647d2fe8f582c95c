"""What a number format is: codes of a few bits, and the reals they stand for.

    INT4 = Symmetric("int4", bits=4)        # in a file of this folder: that is all

A format of weights has a scale for the tensor, for each output channel or for each block of a row, or none; a
format of activations has one scale and one zero point for a tensor. It registers itself by being made."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, ClassVar

import numpy as np

from nn.arguments import is_int
from nn.tensor import Tensor

from ..stored import as_matrix, complete, from_matrix
from .bits import check_bits, pack_bits, unpack_bits
from .quantized import define
from .straight_through import GRADIENTS, USUAL_GRADIENT

FORMATS: dict[str, Format] = {}  # by name

SMALLEST = float(np.finfo(np.float32).tiny)  # a scale below the normal numbers would lose its own digits


@dataclass(frozen=True)
class Format:
    """A number format: `bits` of a code, and which reals the codes stand for, as a subclass says.

    grouping: what has a scale of its own: "tensor", "channel", or so many numbers of a row of the matrix
    (out, in), the last block of a row being shorter; "none": the codes stand for reals by themselves. kernel:
    of nn.kernels, which multiplies reals with such weights; None: they are dequantized for `gemm`.
    activations: the Format that `Quantize` gives the other side of the product where it is told no other;
    None: reals. Its attribute `stored` is the Stored class of such weights. A subclass of weights writes
    `fit_groups`, `quantize`, `dequantize`, `error`; one of activations, which has a scale for the tensor and
    whose reals are scale · (code − zero), `fit`, `quantize` and `dequantize`: TypeError where one is missing,
    ValueError for bits or a grouping that can't be, or a name that another format has."""

    name: str
    bits: int
    grouping: str | int = "channel"
    signed: bool = True
    kernel: Any = None
    activations: Format | None = None

    rescales: ClassVar[bool] = False  # `kernel` leaves it to others to multiply columns by the scale
    uniform: ClassVar[bool] = False  # its reals are equal steps apart, and each gets the nearest
    dynamic: ClassVar[bool] = False  # of activations: the scale is found inside of the call that reads them
    in_blocks: ClassVar[bool] = False  # and that for each block of a row, inside of the kernel

    def __post_init__(self) -> None:
        if not is_int(self.bits) or not 1 <= self.bits <= 16:
            raise ValueError(f"{self.name}: a code has 1…16 bits; got {self.bits!r}")
        if self.grouping not in ("none", "tensor", "channel") and not (is_int(self.grouping)
                                                                       and self.grouping > 0):
            raise ValueError(f"{self.name}: grouping must be 'none', 'tensor', 'channel' or the size of a "
                             f"block; got {self.grouping!r}")
        if FORMATS.get(self.name, self) != self:
            raise ValueError(f"{self.name}: there is another format of this name")
        hooks = ("fit_groups", "error") if self.of_weights else ("fit",)
        complete(type(self), Format, (*hooks, "quantize", "dequantize"))
        if self.of_weights:
            object.__setattr__(self, "stored", define(self))
        FORMATS[self.name] = self

    @property
    def of_weights(self) -> bool:
        """Whether weights have it; else activations."""
        return self.grouping != "tensor" or type(self).fit_groups is not Format.fit_groups

    @cached_property
    def folds(self) -> bool:
        """Whether a factor for each output channel, as a batch norm has, can go into the scales: the codes
        stay what they are."""
        return self.grouping not in ("none", "tensor")

    # The codes ------------------------------------------------------------------------------------

    @cached_property
    def dtype(self) -> type:
        """Of a code in memory."""
        narrow, wide = (np.int8, np.int16) if self.signed else (np.uint8, np.uint16)
        return narrow if self.bits <= 8 else wide

    @cached_property
    def whole(self) -> bool:
        """Whether a code fills its bytes, so that codes are stored as they are."""
        return self.bits in (8, 16)

    @cached_property
    def lowest(self) -> int:
        """The smallest code."""
        return -(2 ** (self.bits - 1)) if self.signed else 0

    @cached_property
    def highest(self) -> int:
        """The largest code."""
        return 2 ** (self.bits - self.signed) - 1

    @cached_property
    def has_zero(self) -> bool:
        """Whether 0 is one of its reals."""
        one = np.float32(1)
        return not self.dequantize(self.quantize(np.zeros(1, np.float32), one), one).any()

    def pack(self, codes: np.ndarray) -> np.ndarray:
        """Codes without gaps, in row order: code − lowest, lowest bit first; whole bytes as they are."""
        if self.whole:
            return codes
        return pack_bits((codes.astype(np.int32) - self.lowest).astype(np.uint16), self.bits)

    def unpack(self, packed: np.ndarray, count: int) -> np.ndarray:
        """The first `count` codes, in one dimension."""
        if self.whole:
            return packed.reshape(-1)
        return (unpack_bits(packed, self.bits, count).astype(np.int32) + self.lowest).astype(self.dtype)

    def check_packed(self, who: str, packed: np.ndarray, count: int) -> None:
        """Raise ValueError, beginning with `who`, unless this is what `pack` makes of so many codes."""
        if not self.whole:
            check_bits(who, packed, self.bits, count, self.highest - self.lowest + 1)
        elif packed.size != count:
            raise ValueError(f"{who}: {packed.dtype} {packed.shape} is not {count} codes")
        elif count and not self.lowest <= packed.min() <= packed.max() <= self.highest:
            raise ValueError(f"{who}: a code is outside {self.lowest}…{self.highest}")

    # Activations ----------------------------------------------------------------------------------

    def fit(self, low: float, high: float) -> Grid:
        """The finest Grid of activations in low…high. Raises ValueError for a range that isn't finite."""

    # Weights: w and codes in the weight's own shape ---------------------------------------------------

    def scales(self, w: np.ndarray, squares: bool = False) -> np.ndarray:
        """The finest scale of each group, or that with the least `squares` of errors, float32 (O,);
        (O, blocks) of a format with blocks, (1,) of one with a scale for the tensor, (0,) of one without."""
        fit = self.fit_squares if squares else self.fit_groups
        if self.grouping == "none":
            return np.zeros(0, np.float32)
        if self.grouping in ("tensor", "channel"):
            return fit(w.reshape(1 if self.grouping == "tensor" else len(w), -1))
        rows = as_matrix(w)
        blocks = -(-rows.shape[1] // self.grouping)
        padded = np.pad(rows, ((0, 0), (0, blocks * self.grouping - rows.shape[1])))
        return fit(padded.reshape(len(rows) * blocks, self.grouping)).reshape(len(rows), blocks)

    def spread(self, scales: np.ndarray, shape: tuple[int, ...]) -> Any:
        """The scale of every weight, so that it broadcasts against a weight of this shape."""
        if self.grouping == "none":
            return np.float32(1)
        if self.grouping in ("tensor", "channel"):
            return scales.reshape(-1, *[1] * (len(shape) - 1))
        return from_matrix(np.repeat(scales, self.grouping, axis=1)[:, :prod(shape[1:])], shape)

    def rescaled(self, scales: np.ndarray, factor: np.ndarray) -> np.ndarray:
        """The scales of a weight whose output channels were multiplied by `factor` (O,): that of a tensor has
        to be fitted anew, and is the largest that may come of it here."""
        if self.grouping in ("none", "tensor"):
            return np.maximum(scales * np.abs(factor).max(initial=0), SMALLEST).astype(np.float32)
        return np.maximum((scales.T * np.abs(factor)).T, SMALLEST).astype(np.float32)  # (of blocks, too)

    def written(self, w: np.ndarray) -> np.ndarray:
        """Which scales a weight that is not 0 has, as far as channels tell: it broadcasts against them."""
        living = np.logical_or.reduce(w.reshape(len(w), -1), axis=1)
        if self.grouping in ("none", "tensor"):
            return living.any()
        return living if self.grouping == "channel" else living[:, None]

    def at_least(self, scales: np.ndarray, least: np.ndarray) -> np.ndarray:
        """Scales that are not below `least` (O,): the finest that there are of such a format."""
        if self.grouping == "tensor":
            least = least.max(initial=0)
        return np.maximum(scales.T, least).T.astype(np.float32)

    def to_codes(self, w: np.ndarray, scales: np.ndarray) -> np.ndarray:
        """The nearest codes of a weight."""
        return self.quantize(w, self.spread(scales, w.shape))

    def to_reals(self, codes: np.ndarray, scales: np.ndarray) -> np.ndarray:
        """What the codes of a weight stand for, float32."""
        return self.dequantize(codes, self.spread(scales, codes.shape))

    def straight_through(self, w: Tensor, scales: np.ndarray, gradient: str = USUAL_GRADIENT) -> Tensor:
        """The weight as its codes stand for it; its gradient is that of w, or as one of GRADIENTS has it."""
        reals = self.to_reals(self.to_codes(w.data, scales), scales)
        length = None if gradient == USUAL_GRADIENT else 2 * self.most * self.spread(scales, w.shape)
        return GRADIENTS[gradient](w, reals, length)

    # Products with integers -----------------------------------------------------------------------

    def sums(self, activations: Format) -> Any:
        """The kernel that adds up the products of such codes and integers of the Format `activations`; None
        where there is none."""

    def multipliers(self, codes: np.ndarray) -> np.ndarray:
        """The integers, int8, by which codes multiply in such a product: real = scale · integer."""
        return codes

    def codes_of(self, multipliers: np.ndarray) -> np.ndarray:
        """The inverse of `multipliers`."""
        return multipliers

    def operand(self, kernel: Any, codes: np.ndarray, scales: np.ndarray) -> Any:
        """What a kernel reads of codes, a matrix (out, in), and their scales: here their multipliers."""
        return kernel.pack(self.multipliers(codes).T)

    def told(self, kernel: Any, unpacked: Any, shape: tuple[int, ...]) -> np.ndarray:
        """The inverse of `operand`: the codes (out, in) that a kernel's operand unpacks to, a matrix (in,
        out) or filters; `shape`: of the weight."""
        return self.codes_of(as_matrix(unpacked) if unpacked.ndim == 4 else np.ascontiguousarray(unpacked.T))

    @property
    def most(self) -> int:
        """The largest magnitude of `multipliers`."""
        ends = np.array([self.lowest, self.highest], self.dtype)
        return int(np.abs(self.multipliers(ends).astype(int)).max())

    # What a subclass says -------------------------------------------------------------------------

    def fit_groups(self, groups: np.ndarray) -> np.ndarray:
        """The finest scale for each row of `groups`, float32; 1 for a row of zeros."""

    def fit_squares(self, groups: np.ndarray) -> np.ndarray:
        """That with the least squared error; by default the same."""
        return self.fit_groups(groups)

    def quantize(self, x: np.ndarray, scale: Any, zero: int = 0) -> np.ndarray:
        """The codes of reals, for scales that broadcast; what is out of range gets the code at its end."""

    def dequantize(self, codes: np.ndarray, scale: Any, zero: int = 0) -> np.ndarray:
        """The reals that codes stand for, float32."""

    def error(self, w: np.ndarray, scales: Any) -> np.ndarray:
        """How far the real of its code may be from each weight, float64, for scales that broadcast."""

    def __reduce__(self) -> tuple[Any, ...]:
        return format_named, (self.name,)  # there is one of each name

    def __repr__(self) -> str:
        return self.name


def largest_scale(most: float) -> np.float32:
    """The largest scale with which `most`, the largest of a format's numbers, is still a float32."""
    return np.nextafter(np.float32(np.finfo(np.float32).max / np.float64(most)), np.float32(0))


def format_named(name: str) -> Format:
    """The Format of this name. Raises ValueError, naming those that there are, where there is none."""
    if name not in FORMATS:
        raise ValueError(f"no number format is called {name!r}; there are {', '.join(FORMATS)}")
    return FORMATS[name]


@dataclass(frozen=True)
class Grid:
    """Codes of a tensor of activations, and what they stand for."""

    format: Format
    scale: float
    zero: int

    def quantize(self, x: np.ndarray) -> np.ndarray:
        """The codes of float32 numbers; those out of range, infinity too, get the code at its end."""
        with np.errstate(over="ignore"):
            return self.format.quantize(x, np.float32(self.scale), self.zero)

    def dequantize(self, q: np.ndarray) -> np.ndarray:
        """What codes stand for, float32."""
        return self.format.dequantize(q, np.float32(self.scale), self.zero)

    def straight_through(self, y: Tensor, target: np.ndarray, gradient: str = USUAL_GRADIENT) -> Tensor:
        """`target`, with the gradient of y, which ends where y is beyond the reals of the outermost codes; or
        as one of GRADIENTS has it."""
        low = self.scale * (self.format.lowest - self.zero)
        high = self.scale * (self.format.highest - self.zero)
        return GRADIENTS[gradient](y, target, high - low, (low, high))
