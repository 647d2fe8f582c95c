"""The stored forms of a weight in a number format: all codes, or a bit mask and those that are not 0."""

from collections.abc import Mapping
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from nn.kernels import conv2d, depthwise_conv2d, gemm, qgemm, qspmm_bsr, qspmm_csr, winograd_conv2d

from ..sparse.cost import Product, cheapest, convolutions_of_integers, of_integers
from ..sparse.form import positions_in, values_in
from ..stored import STORED, Part, Stored, as_matrix, from_matrix, gamma, read


class QuantizedWeight(Stored, abstract=True):
    """Codes of a Format and their scales. `define(format)` makes its subclass for that format."""

    def __init__(self, codes: np.ndarray, scales: np.ndarray) -> None:
        """`codes` in the weight's own shape."""
        self.hold(codes.shape, {"values": self.format.pack(as_matrix(codes)), "scale": scales})

    @cached_property
    def scale(self) -> np.ndarray | None:
        """That of each channel, also where one is stored for all."""
        scale = self.held["scale"]
        return np.repeat(scale, self.shape[0]) if self.format.grouping == "tensor" else super().scale

    def check(self, who: str) -> None:
        self.format.check_packed(who, self.held["values"], self.count())
        scales, wanted = self.held["scale"], self.format.scales(np.zeros(self.shape, np.float32)).shape
        if self.format.grouping == "none" and scales.size:  # the factors of a norm
            wanted = self.shape[:1]
        if scales.shape != wanted or not (scales > 0).all():
            raise ValueError(f"{who}: scale must have shape {wanted} and be positive; got {scales.shape}")

    def count(self) -> int:
        """How many codes are stored."""
        return prod(self.shape)

    @classmethod
    def symbol_bits(cls, held: Mapping[str, np.ndarray]) -> dict[str, int]:
        """The codes, if they are of 8 bits or fewer, and the bits of a mask."""
        mask = {"mask": 1} if "mask" in held else {}
        return {"values": cls.format.bits} | mask if cls.format.bits <= 8 else mask

    def codes(self) -> np.ndarray:
        """The codes as the matrix (out, in), row by row."""
        return self.format.unpack(self.held["values"], prod(self.shape)).reshape(self.shape[0], -1)

    @property
    def most(self) -> int:
        """The largest magnitude of `multipliers`."""
        return self.format.most

    def multipliers(self) -> np.ndarray:
        """The integers by which they multiply, int8 (out, in): see `Format.multipliers`."""
        return self.format.multipliers(self.codes())

    def decode(self) -> np.ndarray:
        return self.format.to_reals(from_matrix(self.codes(), self.shape), self.held["scale"])

    def kernel_with(self, activations: Any) -> Any:
        return self.format.kernel or gemm if activations is None else self.format.sums(activations)

    def operand(self, kernel: Any = None) -> Any:
        """What this kernel reads: `gemm` the weight as reals, others what the format says. By default it is
        the kernel with the format's usual activations."""
        kernel = kernel or self.kernel
        if kernel is gemm:
            return gemm.pack(as_matrix(self.decode()).T)
        return self.format.operand(kernel, self.codes(), self.held["scale"])

    @classmethod
    def told(cls, kernel: Any) -> dict[str, Any]:
        """The codes, by the format; a kernel that reads them as reals tells none."""
        if kernel in (gemm, conv2d, depthwise_conv2d, winograd_conv2d):
            return {}
        return {"values": lambda w, shape: cls.format.pack(cls.format.told(kernel, w, shape))}

    def product_bound(self, x: np.ndarray) -> np.ndarray:
        """Half a step of x through Σ|w|, and float32 rounding of the product (the integers are exact)."""
        if self.format.activations is None:
            return super().product_bound(x)
        grid = self.format.activations.fit(float(x.min(initial=0)), float(x.max(initial=0)))
        magnitudes = np.abs(as_matrix(self.decode()).T, dtype=np.float64)
        reach = np.abs(x, dtype=np.float64).max(initial=0) + grid.scale
        step = grid.scale * (0.5 + 2.0 ** (self.format.activations.bits - 23))
        relative = step + gamma(x.shape[1] + 8) * reach
        bound = relative * magnitudes.sum(axis=0) + 2.0**-150  # the product may underflow
        return np.broadcast_to(bound, (len(x), len(bound))).copy()

    def macs(self) -> int:
        return prod(self.shape)

    def __reduce__(self) -> tuple[Any, ...]:
        return read, (self.kind, self.arrays(), self.shape)  # its class has no name that pickle could find


class MaskedWeight(QuantizedWeight, abstract=True):
    """A QuantizedWeight with many zeros: a bit for each weight says which are not, and only those are stored.

    n/8 bytes of mask beat 16-bit column indices while more than one weight in 16 lives. The operand has the
    zeros again, and its kernel multiplies them; but where a sparse product of integers costs less, in blocks
    of rows or of single weights."""

    def __init__(self, codes: np.ndarray, scales: np.ndarray) -> None:
        flat = as_matrix(codes).ravel()
        self.hold(codes.shape, {"values": self.format.pack(flat[flat != 0]), "mask": np.packbits(flat != 0),
                                "scale": scales})

    def check(self, who: str) -> None:
        count, mask = prod(self.shape), self.held["mask"]
        if len(mask) != -(-count // 8) or np.unpackbits(mask)[count:].any():
            raise ValueError(f"{who}: {len(mask)} bytes of mask do not fit {count} weights")
        super().check(who)
        if not self.format.unpack(self.held["values"], self.count()).all():
            raise ValueError(f"{who}: a value that its mask says is not 0 is 0")

    @classmethod
    def told(cls, kernel: Any) -> dict[str, Any]:
        whole = super().told(kernel)
        if not whole:
            return {}

        def codes(w: Any, shape: tuple[int, ...]) -> np.ndarray:
            if kernel not in (qspmm_bsr, qspmm_csr):
                return cls.format.told(kernel, w, shape).ravel()
            columns = prod(shape[1:])
            positions, values = (values_in(*w[:3], columns) if kernel is qspmm_bsr
                                 else (positions_in(*w[1:], columns), w[0]))
            multipliers = np.zeros(prod(shape), np.int8)
            multipliers[positions] = values
            return cls.format.codes_of(multipliers)

        def left(w: Any, shape: tuple[int, ...]) -> np.ndarray:
            found = codes(w, shape)
            return cls.format.pack(found[found != 0])

        return {"values": left, "mask": lambda w, shape: np.packbits(codes(w, shape) != 0)}

    def kernel_with(self, activations: Any) -> Any:
        """Of integers with bytes the cheaper product."""
        kernel = super().kernel_with(activations)
        return cheapest(self.products()).kernel if kernel is qgemm else kernel

    def products(self, of_filters: bool = False) -> list[Product]:
        """Those of integers that it may be multiplied by, or convolved; the dense one first."""
        found = convolutions_of_integers if of_filters else of_integers
        return found(np.flatnonzero(self.multipliers()), self.shape)

    def product(self, kernel: Any) -> Product:
        """The cheapest of them that is this kernel's."""
        return cheapest([product for product in self.products() if product.kernel is kernel])

    def operand(self, kernel: Any = None) -> Any:
        if kernel is qspmm_csr:
            return qspmm_csr.pack(self.multipliers())
        if kernel is qspmm_bsr:
            return qspmm_bsr.pack(self.multipliers(), rows=self.product(qspmm_bsr).rows)
        return super().operand(kernel)

    def count(self) -> int:
        return int(np.unpackbits(self.held["mask"]).sum())

    def codes(self) -> np.ndarray:
        codes = np.zeros(prod(self.shape), self.format.dtype)
        alive = np.unpackbits(self.held["mask"], count=codes.size).astype(bool)
        codes[alive] = self.format.unpack(self.held["values"], self.count())
        return codes.reshape(self.shape[0], -1)


def define(format: Any) -> type[QuantizedWeight]:
    """The stored form of weights in this Format, and the one with a mask if it has a 0 to leave out, with the
    kinds of a file."""
    values = Part("payload", format.dtype if format.whole else np.uint8,
                  ("out", "in") if format.whole else (None,))
    left = Part("payload", values.dtype, (None,))
    sizes = {"none": ("out",), "tensor": (1,), "channel": ("out",)}
    scale = Part("tables", np.float32, sizes.get(format.grouping, ("out", None)), format.grouping == "none")
    mask = Part("indices", np.uint8, (None,))
    usual = None if format.activations is None else format.sums(format.activations)
    own = {"format": format, "kernel": usual or format.kernel or gemm, "rescales": format.rescales}
    if format.has_zero:
        type("MaskedWeight", (MaskedWeight,),
             own | {"kind": f"{format.name}-masked", "parts": {"values": left, "mask": mask, "scale": scale}})
    return type("QuantizedWeight", (QuantizedWeight,),
                own | {"kind": format.name, "parts": {"values": values, "scale": scale}})


def smallest_form(codes: np.ndarray, scales: np.ndarray, format: Any) -> QuantizedWeight:
    """The form of these codes with the fewer bytes on disk."""
    size, bits = codes.size, format.bits
    alive = int(np.add.reduce(codes != 0, axis=None))
    masked = format.has_zero and -(-size // 8) - (-alive * bits // 8) < -(-size * bits // 8)
    return STORED[f"{format.name}{'-masked' * masked}"](codes, scales)
