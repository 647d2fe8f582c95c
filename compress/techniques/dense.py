"""The weight as it is: float32 on `gemm`. What every other form is compared with."""

from __future__ import annotations

import numpy as np

from nn.kernels import gemm

from ..stored import Stored, as_matrix, from_matrix

__all__ = ["DenseWeight"]


class DenseWeight(Stored):
    """A float32 weight, packed for `gemm`; the packed operand is its only copy."""

    kind = "dense"
    parts = {"values": "payload"}

    def __init__(self, w: np.ndarray) -> None:
        self.shape = w.shape
        self.operand = gemm.pack(as_matrix(w).T)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"values": np.ascontiguousarray(self.operand.unpack().T)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], shape: tuple[int, ...]) -> DenseWeight:
        values = arrays["values"]
        if values.dtype != np.float32 or values.shape != (shape[0], int(np.prod(shape[1:]))):
            raise ValueError(
                f"dense weight {shape}: values have dtype {values.dtype} and shape {values.shape}"
            )
        if not np.isfinite(values).all():
            raise ValueError(f"dense weight {shape}: values must be finite")
        return cls(from_matrix(values, shape))

    def decode(self) -> np.ndarray:
        return from_matrix(self.arrays()["values"], self.shape)

    def linear(self, x: np.ndarray) -> np.ndarray:
        return gemm(x, self.operand)

    def linear_bound(self, x: np.ndarray) -> np.ndarray:
        return product_bound(x, self.arrays()["values"])

    @property
    def nbytes(self) -> int:
        return self.operand.nbytes

    def macs(self) -> int:
        return int(np.prod(self.shape))


def product_bound(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """γ_k·(|x|·|w|ᵀ) for x (batch, k), w (out, k) in float32, and half a step of the subnormal numbers for
    each product that underflows (Higham 2002, eq. 2.8 and 3.4).
    """
    k = x.shape[1]
    return gamma(k) * (np.abs(x, dtype=np.float64) @ np.abs(w.T, dtype=np.float64)) + k * 2.0**-150


def gamma(k: int) -> float:
    """γ_k = k·u / (1 − k·u) for float32, u = 2⁻²⁴: the error of a sum of k products (Higham 2002, eq.
    3.4).
    """
    ku = k * 2.0**-24
    return ku / (1.0 - ku)
