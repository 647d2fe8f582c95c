"""bgemm: the product of matrices of +1 and −1, which are held as bits."""

import numpy as np

from .arguments import U32, integer
from .contract import operand
from .kernel import kernel
from .native import from_buffer, lib, strided
from .operand import PANEL, Operand, aligned, from_panels, in_panels
from .sign_bits import WORD, signs, words_of

MOST = 2**31 - 1  # bits of a row: the largest sum that int32 holds


@kernel(a_bits="u32[M,words] rows", b_bits=operand("u32[N,words]"), out="s32[M,N] rows")
def bgemm(a_bits: np.ndarray, b_bits: np.ndarray, k: int) -> np.ndarray:
    """a · bᵀ for a (M, k) and b (N, k) of ±1, held as bits, uint32 (M, ⌈k/32⌉), (N, ⌈k/32⌉) → int32, exact.

    A bit 0 is +1, 1 is −1, the first of a word is its lowest, as `sign_bits` makes them of floats. With d the
    bits in which two rows differ, their product is k − 2·d (Rastegari et al. 2016, §3.2: XNOR and bitcount).
    k: how many numbers a row has. Bits beyond them must be 0, then they differ nowhere.
    `bgemm.pack(b_bits, k)` packs b.
    """
    return (signs(a_bits, k) @ signs(b_bits, k).T).astype(np.int32)


def _pack(b_bits: np.ndarray, k: int) -> Operand:
    """Panels of 16 rows of b: panels[p][w][c] = b[16p + c, w], or 0."""
    fits("bgemm.pack", "b_bits", b_bits.shape, k)
    no_bits_beyond("bgemm", "b_bits", b_bits, k)  # which a call that packs has not asked either
    n, words = b_bits.shape
    panels = aligned((-(-n // PANEL), words, PANEL), U32)
    if lib is not None:
        lib.nn_bgemm_pack(n, words, *strided(b_bits), from_buffer(panels))
    else:
        panels[...] = in_panels(b_bits.T)[..., 0]
    return Operand(bgemm, b_bits.shape, panels=panels, k=int(k))


def _unpack(b: Operand) -> np.ndarray:
    n, words = b.shape
    return np.ascontiguousarray(from_panels(b.parts["panels"][..., None], words, n).T)


def fits(who: str, name: str, shape: tuple[int, ...], k: int, called: str = "k") -> None:
    """Raise unless rows of this many words are those of k bits. called: k's name in the message."""
    if words_of(integer(who, called, k, 0, MOST)) != shape[-1]:
        words = "1 word" if words_of(k) == 1 else f"{words_of(k)} words"
        raise ValueError(f"{who}: {name} of shape {shape} must have {words} a row for {called} = {k}")


def no_bits_beyond(who: str, name: str, bits: np.ndarray, k: int, called: str = "k") -> None:
    """Raise if a bit beyond the first k of a row is 1."""
    if k % WORD and (bits[..., -1:] >> np.uint32(k % WORD)).any():
        raise ValueError(f"{who}: {name} must have no bit beyond the first {called} = {k} of a row")


def _plan(who, a_bits, b_bits, k) -> None:
    fits(who, "a_bits", a_bits, k)


def _values(who, a_bits, b_bits, k) -> None:
    for name, bits in (("a_bits", a_bits), ("b_bits", b_bits)):
        if isinstance(bits, np.ndarray):
            no_bits_beyond(who, name, bits, k)


bgemm.runs("nn_bgemm(M, N, words, k, a_bits, b_bits.c, out)", plan=_plan, pack=_pack, unpack=_unpack,
           values=_values, seen_by_c=lambda b: from_buffer(b.parts["panels"]))
