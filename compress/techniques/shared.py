"""The stored forms of a weight that shares few values: a code for every weight, or for those that are not 0.
"""

from __future__ import annotations

import numpy as np

from nn.kernels import codebook_gemm

from ..stored import Stored, as_matrix, from_matrix
from .bits import pack_bits, unpack_bits
from .dense import product_bound
from .gaps import WIDEST, gaps_of, positions_of
from .prune import SparseWeight

__all__ = ["PrunedSharedWeight", "SharedWeight", "smallest_form"]


def width_of(codebook: np.ndarray) -> int:
    """The bits of a code."""
    return max(len(codebook) - 1, 1).bit_length()


class SharedWeight(Stored):
    """Codes of the fewest bits and a codebook; and a scale for each output channel, if there is one.

    In memory a code takes 4 bits, or 8 where the codebook has more than 16 numbers: what `codebook_gemm`
    reads.
    """

    kind = "shared"
    parts = {"codes": "payload", "codebook": "tables", "scale": "tables"}

    def __init__(self, codes: np.ndarray, codebook: np.ndarray, scale: np.ndarray | None = None) -> None:
        self.shape = codes.shape
        self.scale = None if scale is None else scale.copy()
        self.operand = codebook_gemm.pack(as_matrix(codes), codebook)

    def arrays(self) -> dict[str, np.ndarray]:
        codes, codebook = self.operand.unpack()
        return {
            "codes": pack_bits(codes, width_of(codebook)),
            "codebook": codebook,
            "scale": np.zeros(0, np.float32) if self.scale is None else self.scale.copy(),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], shape: tuple[int, ...]) -> SharedWeight:
        who = f"shared weight {shape}"
        codebook, scale = check_tables(who, arrays, shape)
        count = int(np.prod(shape))
        codes = check_codes(who, arrays["codes"], count, codebook)
        return cls(from_matrix(codes.reshape(shape[0], count // shape[0]), shape), codebook, scale)

    def decode(self) -> np.ndarray:
        codes, codebook = self.operand.unpack()
        return from_matrix(scaled(codebook[codes], self.scale), self.shape)

    def linear(self, x: np.ndarray) -> np.ndarray:
        y = codebook_gemm(x, self.operand)
        return y if self.scale is None else y * self.scale

    def linear_bound(self, x: np.ndarray) -> np.ndarray:
        """That of the product; a scale rounds decode()'s entries once and the result once."""
        w = as_matrix(self.decode())
        bound = product_bound(x, w)
        if self.scale is None:
            return bound
        sizes = np.abs(x, dtype=np.float64)
        lost = product_bound(x, np.zeros_like(w)) * np.abs(self.scale, dtype=np.float64)
        smallest = 2.0**-149 * (1 + sizes.sum(axis=1, keepdims=True))    # what underflows in a rounding
        return bound * 1.0001 + 2.0**-22 * (sizes @ np.abs(w.T, dtype=np.float64)) + lost + smallest

    @property
    def nbytes(self) -> int:
        return self.operand.nbytes + (0 if self.scale is None else self.scale.nbytes)

    def macs(self) -> int:
        return int(np.prod(self.shape))


class PrunedSharedWeight(SparseWeight):
    """Codes of the weights that are not pruned, and the gaps between these.

    In memory it is CSR with the values looked up once, for `spmm_csr`; what is stored is kept beside, to be
    stored again. The scale of a channel is in the values then.
    """

    kind = "pruned-shared"
    parts = {"codes": "payload", "gaps": "indices"} | dict.fromkeys(("width", "codebook", "scale"), "tables")

    def __init__(
        self,
        positions: np.ndarray,
        codes: np.ndarray,
        codebook: np.ndarray,
        shape: tuple[int, ...],
        scale: np.ndarray | None = None,
    ) -> None:
        """`positions` of the weights in the matrix (out, in) row by row, rising, and the code of each."""
        g, gaps = gaps_of(positions)
        self.stored = {
            "codes": pack_bits(codes, width_of(codebook)),
            "gaps": gaps,
            "width": np.array([g], np.uint8),
            "codebook": codebook.copy(),
            "scale": np.zeros(0, np.float32) if scale is None else scale.copy(),
        }
        columns = int(np.prod(shape[1:]))
        row, column = positions // columns, positions % columns
        indptr = np.zeros(shape[0] + 1, np.int32)
        np.cumsum(np.bincount(row, minlength=shape[0]), out=indptr[1:])
        values = scaled(codebook[codes], None if scale is None else scale[row])
        super().__init__(values, column.astype(np.uint16 if columns <= 2**16 else np.int32), indptr, shape)

    def arrays(self) -> dict[str, np.ndarray]:
        return {name: array.copy() for name, array in self.stored.items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], shape: tuple[int, ...]) -> PrunedSharedWeight:
        who = f"pruned and shared weight {shape}"
        codebook, scale = check_tables(who, arrays, shape)
        width, gaps = arrays["width"], arrays["gaps"]
        if width.dtype != np.uint8 or width.shape != (1,) or not 1 <= width[0] <= WIDEST:
            raise ValueError(f"{who}: width must be one uint8 in 1…{WIDEST}; got {width!r:.80}")
        if gaps.dtype != np.uint8 or gaps.ndim != 1:
            raise ValueError(f"{who}: gaps must be uint8 with 1 dimension; got {gaps.dtype} {gaps.shape}")
        positions = positions_of(int(width[0]), gaps)
        if len(positions) and positions[-1] >= np.prod(shape):
            raise ValueError(f"{who}: its gaps lead to weight {positions[-1]}, beyond the last")
        codes = check_codes(who, arrays["codes"], len(positions), codebook)
        weight = cls(positions, codes, codebook, shape, scale)
        if not np.array_equal(weight.stored["gaps"], gaps):
            raise ValueError(f"{who}: its gaps are not written as they must be")
        return weight

    @property
    def nbytes(self) -> int:
        return super().nbytes + sum(array.nbytes for array in self.stored.values())


def smallest_form(
    codes: np.ndarray, codebook: np.ndarray, zero: int, scale: np.ndarray | None
) -> SharedWeight | PrunedSharedWeight:
    """The form with fewer bytes on disk; `zero` is the code of what is pruned, or −1. Without zeros no code
    is spent on them.
    """
    shared = SharedWeight(codes, codebook, scale)
    if zero < 0:
        return shared
    flat = as_matrix(codes).ravel()
    positions = np.flatnonzero(flat != zero)
    left = flat[positions]
    pruned = PrunedSharedWeight(
        positions, left - (left > zero).astype(np.uint8), np.delete(codebook, zero), codes.shape, scale
    )
    return min(pruned, shared, key=lambda form: sum(array.nbytes for array in form.arrays().values()))


def scaled(values: np.ndarray, scale: np.ndarray | None) -> np.ndarray:
    """values, times the scale of their rows if there is one; no −0."""
    if scale is None:
        return values
    return values * scale.reshape(-1, *[1] * (values.ndim - 1)) + np.float32(0)


def check_tables(
    who: str, arrays: dict[str, np.ndarray], shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray | None]:
    """The codebook, and the scale or None; ValueError unless they are finite float32 of a sensible size."""
    codebook, scale = arrays["codebook"], arrays["scale"]
    for name, array in (("codebook", codebook), ("scale", scale)):
        if array.dtype != np.float32 or array.ndim != 1 or not np.isfinite(array).all():
            came = f"{array.dtype} {array.shape}"
            raise ValueError(f"{who}: {name} must be a finite float32 vector; got {came}")
    if not 1 <= len(codebook) <= 256 or len(scale) not in (0, shape[0]):
        raise ValueError(f"{who}: {len(codebook)} numbers in its codebook and {len(scale)} scales do not fit")
    return codebook, scale if len(scale) else None


def check_codes(who: str, packed: np.ndarray, count: int, codebook: np.ndarray) -> np.ndarray:
    """`count` codes into the codebook, uint8; ValueError where the bytes hold more, fewer, or others."""
    width = width_of(codebook)
    if packed.dtype != np.uint8 or packed.shape != (-(-count * width // 8),):
        raise ValueError(f"{who}: {count} codes of {width} bits do not fill {packed.dtype} {packed.shape}")
    codes = unpack_bits(packed, width, count)
    if len(codes) and codes.max() >= len(codebook):
        raise ValueError(f"{who}: code {codes.max()} names none of the codebook's {len(codebook)} numbers")
    if not np.array_equal(pack_bits(codes, width), packed):
        raise ValueError(f"{who}: the bits behind the last code must be 0")
    return codes.astype(np.uint8)
