"""What the instructions of an integer product do, in NumPy: an emulator of those that saturate.

    vpmaddubsw           u8 · s8, two neighbours added in 16 bits, cut off at ±2¹⁵              AVX2
    vpaddw, vpaddsw      16-bit sums, modulo 2¹⁶ or cut off
    vpmaddwd             s16 · s16, two neighbours added in 32 bits; by ones it widens sums
    vpdpbusd, vpdpbusds  u8 · s8, four products added to a 32-bit sum, modulo 2³² or cut off    VNNI

255·127 + 255·127 = 64,770 does not fit 16 bits, and vpmaddubsw makes 32,767 of it without a word. A library
that multiplies 8-bit weights by it is right for small ones (overflow.py says for which), and for others it is
fast, silent and wrong: `saturating_qgemm` computes what it computes, on any machine. (The pseudocode of each:
Intel Intrinsics Guide.)"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .overflow import STEP, limits


def vpmaddubsw(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a uint8 (…, 2n), b int8 (…, 2n) → int16 (…, n): a₀b₀ + a₁b₁, saturated."""
    return _saturated(_added(a, b, np.int32, 2), 16)


def vpmaddwd(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a, b int16 (…, 2n) → int32 (…, n): a₀b₀ + a₁b₁. (It wraps around for four times −2¹⁵ only.)"""
    return _added(a, b, np.int64, 2).astype(np.int32)


def vpaddw(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """int16 + int16 → int16, modulo 2¹⁶."""
    return (a.astype(np.int32) + b).astype(np.int16)


def vpaddsw(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """int16 + int16 → int16, saturated."""
    return _saturated(a.astype(np.int32) + b, 16)


def vpdpbusd(s: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """s int32 (…, n), a uint8 (…, 4n), b int8 (…, 4n) → s + a₀b₀ + a₁b₁ + a₂b₂ + a₃b₃, modulo 2³²."""
    return (s + _added(a, b, np.int64, 4)).astype(np.int32)


def vpdpbusds(s: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The same, saturated: once, after all five are added exactly."""
    return _saturated(s + _added(a, b, np.int64, 4), 32)


def saturating_qgemm(a: np.ndarray, b: np.ndarray, fold: int = 1,
                     add: Callable[[np.ndarray, np.ndarray], np.ndarray] = vpaddw) -> np.ndarray:
    """The product of a (M, K), uint8, and b (K, N), int8, as vpmaddubsw makes it: int32 (M, N), right or not.

    Four k at a time make two sums of two products, as in the kernels for AVX2 of onnxruntime (MLAS) and of
    FBGEMM, which PyTorch calls. fold: how many of these are added in 16 bits, by `add`, vpaddw or vpaddsw,
    before vpmaddwd widens them. Raises TypeError or ValueError for other operands."""
    if (a.dtype, b.dtype) != (np.uint8, np.int8):
        raise TypeError(f"saturating_qgemm: a must be uint8 and b int8; got {a.dtype} and {b.dtype}")
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise ValueError(f"saturating_qgemm: a must be (M, K) and b (K, N); got {a.shape} and {b.shape}")
    if fold < 1:
        raise ValueError(f"saturating_qgemm: fold must be at least 1; got {fold}")
    (m, k), n, missing = a.shape, b.shape[1], -a.shape[1] % STEP
    rows = np.pad(a, ((0, 0), (0, missing)))[:, None]  # (M, 1, K): each meets all columns
    columns = np.pad(b, ((0, missing), (0, 0))).T  # (N, K)
    sums, ones = np.zeros((m, n), np.int32), np.ones(2, np.int16)
    for start in range(0, k, STEP * fold):
        folded = np.zeros((m, n, 2), np.int16)
        for step in range(start, min(start + STEP * fold, k), STEP):
            cell = slice(step, step + STEP)
            folded = add(folded, vpmaddubsw(rows[..., cell], columns[..., cell]))
        sums += vpmaddwd(folded, ones)[..., 0]  # vpaddd
    return sums


class Wrong(NamedTuple):
    """The share of numbers that are wrong, and the largest error among them."""

    share: float
    largest: int

    def __str__(self) -> str:
        return f"{self.share:.3g} % wrong, by up to {self.largest:,}" if self.share else "all right"


def wrong(computed: np.ndarray, right: np.ndarray) -> Wrong:
    """How many integers of `computed`, in percent, differ from those of `right`, and by how much."""
    errors = np.abs(computed.astype(np.int64) - right)
    return Wrong(100 * float((errors > 0).mean()) if errors.size else 0.0, int(errors.max(initial=0)))


def _added(a: np.ndarray, b: np.ndarray, dtype: type, some: int) -> np.ndarray:
    """The sums of so many neighbouring products."""
    made = a.astype(dtype) * b
    return made.reshape(*made.shape[:-1], made.shape[-1] // some, some).sum(axis=-1, dtype=dtype)


def _saturated(exact: np.ndarray, bits: int) -> np.ndarray:
    return np.clip(exact, *limits(bits)).astype(f"int{bits}")
