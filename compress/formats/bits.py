"""Numbers of a few bits without gaps between them, the lowest bit first: how small codes are stored."""

import numpy as np


def pack_bits(numbers: np.ndarray, width: int, fill: int = 0) -> np.ndarray:
    """Numbers below 2^width as ⌈n·width/8⌉ bytes, uint8; the bits left over are all `fill`."""
    bits = (numbers.ravel()[:, None] >> np.arange(width, dtype=np.uint16)) & 1
    missing = -bits.size % 8
    return np.packbits(np.append(bits.astype(np.uint8), np.full(missing, fill, np.uint8)), bitorder="little")


def unpack_bits(packed: np.ndarray, width: int, count: int) -> np.ndarray:
    """The first `count` numbers, uint16. `packed` has at least that many bits."""
    bits = np.unpackbits(packed, count=count * width, bitorder="little").reshape(count, width)
    return bits.astype(np.uint16) @ (1 << np.arange(width, dtype=np.uint16))


def check_bits(who: str, packed: np.ndarray, width: int, count: int, below: int) -> None:
    """Raise ValueError, beginning with `who`, unless this is `count` numbers below `below`, and then 0."""
    if packed.shape != (-(-count * width // 8),):
        raise ValueError(f"{who}: {count} codes of {width} bits do not fill {packed.dtype} {packed.shape}")
    codes = unpack_bits(packed, width, count)
    if count and codes.max() >= below:
        raise ValueError(f"{who}: code {codes.max()} is none of the {below} that there are")
    if not np.array_equal(pack_bits(codes, width), packed):
        raise ValueError(f"{who}: the bits behind the last code must be 0")


def as_words(bits: np.ndarray) -> np.ndarray:
    """Booleans (…, k) as uint32 (…, ⌈k/32⌉), the first in the lowest bit, then 0: what `bgemm` reads."""
    packed = np.packbits(bits, axis=-1, bitorder="little")
    words = np.zeros((*packed.shape[:-1], -(-bits.shape[-1] // 32) * 4), np.uint8)
    words[..., :packed.shape[-1]] = packed
    return words.view("<u4").astype(np.uint32, copy=False)


def from_words(words: np.ndarray, k: int) -> np.ndarray:
    """The inverse of `as_words`: uint8 (…, k) of 0 and 1."""
    each = np.ascontiguousarray(words, "<u4").view(np.uint8)
    return np.unpackbits(each, axis=-1, count=k, bitorder="little")
