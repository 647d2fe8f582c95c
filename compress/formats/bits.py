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
