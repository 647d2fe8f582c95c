"""The stored forms of a weight that shares few values: a code for each weight, or for each that is not 0."""

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from nn.kernels import codebook_gemm, gemm, spmm_csr
from nn.kernels.codebook_gemm import pays

from ..formats.bits import check_bits, pack_bits, unpack_bits
from ..sparse.form import Found, SparseForm
from ..sparse.gaps import GAPS, checked_positions, gaps_of, positions_of
from ..stored import Part, Stored, as_matrix, from_matrix, per_channel

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

    @classmethod
    def symbol_bits(cls, held: Mapping[str, np.ndarray]) -> dict[str, int]:
        return {"codes": width_of(held["codebook"])}

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


class PrunedSharedWeight(SparseForm):
    """Codes of the weights that are not pruned, and the gaps between these.

    For `spmm_csr` the values are looked up and multiplied by the scale of their channel."""

    kind = "pruned-shared"
    parts = {"codes": Part("payload", np.uint8, (None,)), **GAPS, **TABLES}
    kernel = spmm_csr
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

    @classmethod
    def symbol_bits(cls, held: Mapping[str, np.ndarray]) -> dict[str, int]:
        return {"codes": width_of(held["codebook"]), "gaps": int(held["width"][0])}

    def check(self, who: str) -> None:
        check_codes(who, self.held, len(checked_positions(who, self.held, prod(self.shape))))

    def placed(self) -> tuple[np.ndarray, np.ndarray]:
        """The positions of what is not pruned, and the code of each, uint8."""
        positions = positions_of(int(self.held["width"][0]), self.held["gaps"])
        return positions, codes_of(self.held, len(positions))

    def found(self) -> Found:
        positions, codes = self.placed()
        values, scale = self.held["codebook"][codes], self.held["scale"]
        if scale.size:
            values = scaled(values, scale[positions // prod(self.shape[1:])])
        return positions, values


FLOATS = SharedWeight, PrunedSharedWeight
EXPANDS = 4096  # weights for a byte of a pruned form, at most


def smallest_form(codes: np.ndarray, codebook: np.ndarray, zero: int, scale: np.ndarray | None,
                  forms: tuple[type[SharedWeight], type[PrunedSharedWeight]] = FLOATS
                  ) -> SharedWeight | PrunedSharedWeight:
    """The form with fewer bytes on disk, of two; `zero` is the code of what is pruned, or −1."""
    of_all, of_left = forms
    shared = of_all(codes, codebook, scale)
    if zero < 0:
        return shared
    flat = as_matrix(codes).ravel()
    positions = np.flatnonzero(flat != zero)
    left = flat[positions]
    left = left - (left > zero)  # the pruned need no code
    pruned = of_left(positions, left, np.delete(codebook, zero), codes.shape, scale)
    few = codes.size > EXPANDS * pruned.nbytes  # they could be anything to a reader that trusts no size
    return shared if few else min(pruned, shared, key=lambda form: form.nbytes)


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
