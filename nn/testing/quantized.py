"""A strategy of quantized data: integers, and the grid that says which reals they stand for."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from .arrays import shapes
from .case import STYLES, integers

SCALES = (1.0, 0.5, 0.0173, 3e-5, 250.0)


class Quantized(NamedTuple):
    """codes: uint8 or int8, of any shape; scale: a float32 above 0, as a float; zero: the code of 0."""

    codes: np.ndarray
    scale: float
    zero: int

    @property
    def reals(self) -> np.ndarray:
        """(codes − zero)·scale, in float64 (Jacob et al. 2018, eq. 1)."""
        return (self.codes.astype(np.int64) - self.zero) * self.scale


def quantized(shape: tuple[int, ...] | st.SearchStrategy[tuple[int, ...]] | None = None, bits: int = 8,
              signed: bool = False) -> st.SearchStrategy[Quantized]:
    """Quantized data: codes that are uniform, mostly 0, all the same, or corners, where saturation and signs
    go wrong; scales from 3e-5 to 250; zero points that often lie at an end.

    shape: of the codes, or a strategy of shapes; small ones if left out. bits: of a code, 2 to 8: from 0 to
    2^bits − 1, or, if signed, from −2^(bits−1) to 2^(bits−1) − 1. Raises ValueError for other bits.
    """
    if not 2 <= bits <= 8:
        raise ValueError(f"quantized: bits is {bits!r}, wanted 2…8")
    return _quantized(shapes() if shape is None else shape, bits, np.int8 if signed else np.uint8)


@st.composite
def _quantized(draw: Callable, shape, bits: int, dtype: type) -> Quantized:
    shape = draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    low, high = (int(end) >> (8 - bits) for end in (np.iinfo(dtype).min, np.iinfo(dtype).max))
    zero = draw(st.sampled_from((0, low, high)) | st.integers(low, high))
    scale, style = float(np.float32(draw(st.sampled_from(SCALES)))), draw(st.sampled_from(STYLES))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return Quantized(integers(rng, shape, dtype, style) >> (8 - bits), scale, zero)
