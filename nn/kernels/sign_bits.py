"""sign_bits: the signs of floats as bits, which bgemm multiplies."""

import numpy as np

from .arguments import U32
from .contract import Plan
from .kernel import kernel

WORD = 32  # bits of a word: so many signs


@kernel(x="f32[M,K] rows", out="u32[M,words] rows")
def sign_bits(x: np.ndarray) -> np.ndarray:
    """The signs of x float32 (M, K) as bits, uint32 (M, ⌈K/32⌉): 1 where x < 0, which stands for −1, else 0.

    The first number of a word is in its lowest bit; bits beyond K are 0. sign(0) = sign(−0) = +1, as
    Courbariaux, Hubara et al. (2016, eq. 1) have it. NaN, which has no sign, raises ValueError.
    """
    return in_words(x < 0)


def in_words(bits: np.ndarray) -> np.ndarray:
    """Booleans (…, k) as uint32 (…, ⌈k/32⌉), the first in the lowest bit, then 0."""
    *others, k = bits.shape
    filled = np.zeros((*others, words_of(k) * WORD), bool)
    filled[..., :k] = bits
    return np.packbits(filled, axis=-1, bitorder="little").view("<u4").astype(U32)


def signs(bits: np.ndarray, k: int) -> np.ndarray:
    """What bits (…, ⌈k/32⌉) stand for: +1 and −1 (…, k), float64, in which sums of them are exact."""
    each = np.ascontiguousarray(bits, "<u4").view(np.uint8)
    return 1.0 - 2.0 * np.unpackbits(each, axis=-1, bitorder="little")[..., :k]


def words_of(k: int) -> int:
    """How many words k bits take."""
    return -(-k // WORD)


def _plan(x) -> Plan:
    return Plan((x[0], words_of(x[1])), U32)


def _no_nan(who, x) -> None:
    if np.isnan(x).any():
        raise ValueError(f"{who}: x holds NaN, which has no sign")


sign_bits.runs("nn_sign_bits(*x.shape, x, out)", plan=_plan, values=_no_nan)
