"""The stored forms of a weight that shares few values: a code for each weight, or for each that is not 0."""

from math import prod
from typing import Any

import numpy as np

from nn.kernels import codebook_gemm, gemm
from nn.kernels.codebook_gemm import pays

from ..formats.bits import check_bits, pack_bits, unpack_bits
from ..stored import Part, Stored, as_matrix, from_matrix, per_channel
from .prune import SparseWeight, rows_of

WIDEST = 16  # bits of a symbol that tells of gaps
TABLES = {"codebook": Part("tables", np.float32, (None,)),
          "scale": Part("tables", np.float32, ("out",), optional=True)}


class SharedWeight(Stored):
    """Codes of the fewest bits and a codebook; and a scale for each output channel, if there is one.

    For `codebook_gemm` a code takes 4 bits, or 8 where the codebook has more than 16 numbers. Where the dense
    product is faster than that with 8 bits, it multiplies as floats, to the same bits; the codes stay beside
    these, for a file."""

    kind = "shared"
    parts = {"codes": Part("payload", np.uint8, (None,)), **TABLES}
    kernel = codebook_gemm

    def __init__(self, codes: np.ndarray, codebook: np.ndarray, scale: np.ndarray | None = None) -> None:
        """`codes` in the weight's own shape."""
        packed = pack_bits(as_matrix(codes), width_of(codebook))
        self.hold(codes.shape, {"codes": packed, "codebook": codebook, "scale": scale})

    def check(self, who: str) -> None:
        check_codes(who, self.held, prod(self.shape))

    def codes(self) -> np.ndarray:
        """The codes as the matrix (out, in) that multiplies, uint8."""
        return codes_of(self.held, prod(self.shape)).reshape(self.shape[0], -1)

    def decode(self) -> np.ndarray:
        return from_matrix(scaled(self.held["codebook"][self.codes()], self.scale), self.shape)

    def kernel_with(self, activations: Any) -> Any:
        if activations is not None:
            return None
        sizes = self.shape[0], prod(self.shape[1:]), len(self.held["codebook"])
        return codebook_gemm if pays(*sizes) else gemm

    def operand(self, kernel: Any = None) -> Any:
        """Codes for `codebook_gemm`; for `gemm` their floats, which the scale does not multiply either."""
        if kernel is gemm:
            return gemm.pack(self.held["codebook"][self.codes()].T)
        return codebook_gemm.pack(self.codes(), self.held["codebook"])

    @classmethod
    def told(cls, kernel: Any) -> dict[str, Any]:
        made = {"codes": lambda w, shape: pack_bits(w[0], width_of(w[1]))}
        return made if kernel is codebook_gemm else {}

    def macs(self) -> int:
        return prod(self.shape)


class PrunedSharedWeight(SparseWeight):
    """Codes of the weights that are not pruned, and the gaps between these.

    For `spmm_csr` the values are looked up and multiplied by the scale of their channel."""

    kind = "pruned-shared"
    parts = {"codes": Part("payload", np.uint8, (None,)), "gaps": Part("indices", np.uint8, (None,)),
             "width": Part("tables", np.uint8, (1,)), **TABLES}
    rescales = False  # the scale is in the values that the kernel reads

    def __init__(self, positions: np.ndarray, codes: np.ndarray, codebook: np.ndarray, shape: tuple[int, ...],
                 scale: np.ndarray | None = None) -> None:
        """`positions` of the weights in the matrix (out, in) row by row, rising, and the code of each."""
        g, gaps = gaps_of(positions)
        self.hold(shape, {"codes": pack_bits(codes, width_of(codebook)), "gaps": gaps,
                          "width": np.array([g], np.uint8), "codebook": codebook, "scale": scale})

    @classmethod
    def told(cls, kernel: Any) -> dict[str, Any]:
        return {}  # which weights have one code, values may not tell

    def check(self, who: str) -> None:
        width, gaps = int(self.held["width"][0]), self.held["gaps"]
        if not 1 <= width <= WIDEST:
            raise ValueError(f"{who}: width must be in 1…{WIDEST}; got {width}")
        positions = positions_of(width, gaps)
        if len(positions) and positions[-1] >= prod(self.shape):
            raise ValueError(f"{who}: its gaps lead to weight {positions[-1]}, beyond the last")
        check_codes(who, self.held, len(positions))
        g, again = gaps_of(positions)
        if g != width or not np.array_equal(again, gaps):
            raise ValueError(f"{who}: its gaps are not written as they must be")

    def rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        positions = positions_of(int(self.held["width"][0]), self.held["gaps"])
        values, scale = self.held["codebook"][codes_of(self.held, len(positions))], self.held["scale"]
        if scale.size:
            values = scaled(values, scale[positions // prod(self.shape[1:])])
        return rows_of(positions, values, self.shape)


def smallest_form(codes: np.ndarray, codebook: np.ndarray, zero: int,
                  scale: np.ndarray | None) -> SharedWeight | PrunedSharedWeight:
    """The form with fewer bytes on disk; `zero` is the code of what is pruned, or −1."""
    shared = SharedWeight(codes, codebook, scale)
    if zero < 0:
        return shared
    flat = as_matrix(codes).ravel()
    positions = np.flatnonzero(flat != zero)
    left = flat[positions]
    left = left - (left > zero)  # the pruned need no code
    pruned = PrunedSharedWeight(positions, left, np.delete(codebook, zero), codes.shape, scale)
    return min(pruned, shared, key=lambda form: form.nbytes)


def scaled(values: Any, scale: np.ndarray | None) -> Any:
    """values, an array or a Tensor, times the scale of their rows if there is one; no −0: CSR has none."""
    return values if scale is None else values * per_channel(scale, values.ndim) + np.float32(0)


def width_of(codebook: np.ndarray) -> int:
    """The bits of a code."""
    return max(len(codebook) - 1, 1).bit_length()


def codes_of(held: dict[str, np.ndarray], count: int) -> np.ndarray:
    """The first `count` codes into the codebook, uint8."""
    return unpack_bits(held["codes"], width_of(held["codebook"]), count).astype(np.uint8)


def check_codes(who: str, held: dict[str, np.ndarray], count: int) -> None:
    """Raise ValueError for a codebook of no sensible size, or codes that are not `count` or not in it."""
    size = len(held["codebook"])
    if not 1 <= size <= 256:
        raise ValueError(f"{who}: a codebook has 1…256 numbers; got {size} numbers")
    check_bits(who, held["codes"], width_of(held["codebook"]), count, size)


def gaps_of(positions: np.ndarray) -> tuple[int, np.ndarray]:
    """Which weights are not zero, by the gaps between them (Han, Mao & Dally 2016, §2): (g, the symbols of g
    bits packed to bytes) for rising positions; g is what takes the fewest bits.

    A symbol below 2^g − 1 skips so many zeros, and a weight follows; the symbol 2^g − 1 skips 2^g − 1 zeros
    and nothing follows, for gaps that are longer. With g = 1 that is a bit for every weight, the bit mask:
    best while every second weight lives. Where one in 20 does, 5 or 6 bits are best, 6.3 bits a weight beside
    the mask's 20. 16-bit columns as in CSR never win: they would be g = 16, and row pointers besides."""
    zeros = np.diff(positions, prepend=-1) - 1
    g = min(range(1, WIDEST + 1), key=lambda g: g * (len(zeros) + int(np.sum(zeros // (2**g - 1)))))
    longest = 2**g - 1
    fillers, rest = zeros // longest, zeros % longest
    symbols = np.full(len(zeros) + int(fillers.sum()), longest, np.uint16)
    symbols[np.cumsum(fillers + 1) - 1] = rest
    return g, pack_bits(symbols, g, fill=1)  # what is left over of the last byte skips zeros too


def positions_of(g: int, packed: np.ndarray) -> np.ndarray:
    """The positions, rising; the inverse of `gaps_of`."""
    symbols = unpack_bits(packed, g, 8 * len(packed) // g).astype(np.int64)
    weights = symbols < 2**g - 1
    return (np.cumsum(symbols + weights) - 1)[weights]
