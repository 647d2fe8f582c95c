"""Binary numbers: weights −s or s, with one s for each output channel, and signs of activations.

    s = mean|w|     makes ‖w − s·sign(w)‖₂ smallest (Rastegari et al. 2016, "XNOR-Net", eq. 6)

sign(0) is +1: a bit has no third value. As everywhere in this library a bit 0 is +1 and 1 is −1."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from nn.kernels import bconv2d, bgemm, qgemm
from nn.kernels.sign_bits import in_words, signs

from .bits import check_bits, pack_bits, unpack_bits
from .format import SMALLEST, Format, Grid, format_named


class Signs(Format):
    """Codes 1 and −1, of one bit."""

    highest, lowest = 1, -1

    def pack(self, codes: np.ndarray) -> np.ndarray:
        """8 codes in a byte, in row order, the first in the lowest bit."""
        return pack_bits((codes < 0).astype(np.uint16), 1)

    def unpack(self, packed: np.ndarray, count: int) -> np.ndarray:
        return (1 - 2 * unpack_bits(packed, 1, count).astype(np.int8)).astype(self.dtype).reshape(-1)

    def check_packed(self, who: str, packed: np.ndarray, count: int) -> None:
        check_bits(who, packed, 1, count, 2)

    def quantize(self, x: np.ndarray, scale: Any, zero: int = 0) -> np.ndarray:
        """sign(x), of 0 too: +1."""
        return np.where(x >= 0, 1, -1).astype(self.dtype)

    def dequantize(self, codes: np.ndarray, scale: Any, zero: int = 0) -> np.ndarray:
        """±scale."""
        return codes.astype(np.float32) * scale


class BinaryWeights(Signs):
    """−s or s, with one s for each output channel."""

    def fit_groups(self, groups: np.ndarray) -> np.ndarray:
        """mean|w|; of nothing but zeros, almost 0."""
        return np.maximum(np.abs(groups, dtype=np.float64).mean(axis=1), SMALLEST).astype(np.float32)

    def error(self, w: np.ndarray, scales: Any) -> np.ndarray:
        """| |w| − s |."""
        return np.abs(np.abs(w, dtype=np.float64) - np.asarray(scales, np.float64))

    def sums(self, activations: Format) -> Any:
        """`bgemm`, where activations have one bit, too; else `qgemm`, for which a sign is an integer."""
        return None if activations.in_blocks else bgemm if activations.bits == 1 else qgemm

    def operand(self, kernel: Any, codes: np.ndarray, scales: np.ndarray) -> Any:
        """For `bgemm` bits."""
        if kernel is not bgemm:
            return super().operand(kernel, codes, scales)
        return bgemm.pack(in_words(codes < 0), codes.shape[1])

    def told(self, kernel: Any, unpacked: Any, shape: tuple[int, ...]) -> np.ndarray:
        if kernel not in (bgemm, bconv2d):
            return super().told(kernel, unpacked, shape)
        k = prod(shape[1:]) if unpacked.ndim == 2 else shape[1]  # of bits: in a row, or at a tap
        return signs(unpacked, k).reshape(shape[0], -1).astype(np.int8)


@dataclass(frozen=True, repr=False)
class BinaryActivations(Signs):
    """−s or s: of a network whose activations have both signs. Behind a ReLU take uint1, which is 0 or s."""

    grouping: str | int = "tensor"

    def fit(self, low: float, high: float) -> Grid:
        """The scale 1 (Hubara et al. 2016): what else there is stands in the weights, or in a norm behind."""
        if not (np.isfinite(low) and np.isfinite(high) and low <= high):
            raise ValueError(f"{self.name}: needs a finite range low <= high; got [{low}, {high}]")
        return Grid(self, 1.0, 0)


SIGN = BinaryActivations("sign", bits=1)
BINARY = BinaryWeights("binary", bits=1, activations=format_named("uint8"))
