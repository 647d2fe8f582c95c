"""Winograd's algorithm for a 3×3 convolution: its weight, and when it pays.

It is no compression but another way to multiply (Lavin & Gray 2016): 16 multiplications for a tile of 2×2
outputs where the direct sum has 36. The filters on disk are the plain ones; in memory they are transformed,
16 numbers for 9. `convert` chooses it for a layer, or is told to, and the Program's lines are the record.
"""

from __future__ import annotations

import numpy as np

from nn.kernels import winograd_conv2d

from ..stored import Part
from .filters import FilterWeight

__all__ = ["ALGORITHMS", "WinogradWeight", "fits", "moved", "pays"]

ALGORITHMS = ("auto", "winograd", "direct", "im2col")  # of a float32 convolution

# What a multiply-add of one row costs is 1. The constants are measured (`espalier bench winograd_conv2d`).
FEWEST_ROWS = 12  # a product of fewer rows takes as long as one of these: it waits for the weight
INPUT, OUTPUT = 900, 700  # to transform a tile in one direction, for 16 channels
MARGIN = 1.2  # times as fast at least, so that what is chosen is faster indeed


class WinogradWeight(FilterWeight):
    """Filters (O, I, 3, 3) to be transformed for `winograd_conv2d`.

    Storing them moves a weight by at most 2⁻²⁴·Σ|g|, g being its filter, about what a float32 operation
    rounds: with that the way from the file to the transformed filters and back loses nothing.
    """

    kind = "winograd"
    parts = {"values": Part("payload", np.float32, ("…",))}
    kernel = winograd_conv2d

    def __init__(self, w: np.ndarray) -> None:
        if not fits(w):
            raise ValueError(f"winograd weight {w.shape}: transformed filters would leave float32")
        self.hold(w.shape, {"values": winograd_conv2d.pack(w).unpack()})

    def check(self, who: str) -> None:
        if self.shape[2:] != (3, 3) or not fits(self.held["values"]):
            raise ValueError(f"{who}: filters must be 3×3, and stay in float32 when they are transformed")

    def macs(self) -> int:
        """Multiplications of one tile of 2×2 outputs."""
        return 16 * self.shape[0] * self.shape[1]


def fits(w: np.ndarray) -> bool:
    """Whether the transformed filters, at most 9/4 of the largest weight, stay in float32."""
    return float(np.abs(w).max(initial=0)) < 2.0**126


def moved(w: np.ndarray) -> np.ndarray:
    """How far storing may move each weight: 2⁻²⁴·Σ|g|, or 2⁻¹⁴⁸ (see the kernel's `exactly_transformed`)."""
    total = np.abs(w, dtype=np.float64).sum(axis=(2, 3), keepdims=True)
    return np.broadcast_to(2.0**-24 * (1 + 2.0**-20) * total + 2.0**-148, w.shape)


def pays(w: tuple[int, ...], height: int, width: int) -> bool:
    """Whether Winograd is the faster way to a result of height × width pixels with filters of shape w.

    A model of one image on one core, with nothing timed, so that the same network always becomes the same
    Program. Direct is, inside its kernel, a product with a row for every pixel; Winograd 16 products with a
    row for every tile, and the transforms, which more channels on the other side make worthwhile.
    """
    o, c = w[:2]
    tiles = -(-height // 2) * -(-width // 2)
    direct = 9 * c * o * max(height * width, FEWEST_ROWS)
    products = 16 * c * o * max(tiles, FEWEST_ROWS)
    transforms = tiles * (INPUT * -(-c // 16) + OUTPUT * -(-o // 16))
    return direct >= MARGIN * (products + transforms)
