"""Elias's gamma codes: positive integers as bits, few for small ones, in the headers of the entropy coders.

x has ⌊log₂ x⌋ zeros, then its own binary digits, whose first is a 1: 1, 010, 011, 00100, … (Elias 1975). They
need no table and end by themselves. The first bit of a byte is its highest; the last byte ends with zeros.
"""

import numpy as np

LONGEST = 20  # zeros before the digits: what is larger is no number of ours


def gamma(x: int) -> str:
    """The bits of x ≥ 1, as a text of 0 and 1."""
    digits = f"{x:b}"
    return "0" * (len(digits) - 1) + digits


def signed(x: int) -> int:
    """0, 1, −1, 2, −2, … as 1, 2, 3, 4, 5, …"""
    return 2 * x if x > 0 else 1 - 2 * x


def unsigned(x: int) -> int:
    """The way back."""
    return -(x // 2) if x % 2 else x // 2


def to_bytes(bits: str) -> np.ndarray:
    """A text of 0 and 1 as bytes: uint8 (⌈bits/8⌉,)."""
    return np.packbits(np.frombuffer(bits.encode("ascii"), np.uint8) - ord("0"))


class Reader:
    """Reads what `to_bytes` has written, of bytes that may hold anything.

    Raises ValueError, which begins with `who`, where they end too early or hold what was never written."""

    def __init__(self, who: str, data: np.ndarray) -> None:
        self.who, self.bits, self.at = who, np.unpackbits(data).tolist(), 0

    def wrong(self, why: str) -> ValueError:
        """The error for such bytes."""
        return ValueError(f"{self.who}: the header {why}")

    def number(self, count: int) -> int:
        """The number that the next `count` bits are, the highest first."""
        if self.at + count > len(self.bits):
            raise self.wrong(f"ends too early, after {len(self.bits) // 8} bytes")
        x = 0
        for bit in self.bits[self.at:self.at + count]:
            x = 2 * x + bit
        self.at += count
        return x

    def gamma(self) -> int:
        """The next gamma code."""
        zeros = 0
        while not self.number(1):
            zeros += 1
            if zeros > LONGEST:
                raise self.wrong(f"has a number of more than {LONGEST + 1} bits")
        return (1 << zeros) + self.number(zeros)

    def end(self) -> int:
        """How many bytes were read; the bits that are left of the last one must be 0."""
        if self.number(-self.at % 8):
            raise self.wrong("does not end with zeros")
        return self.at // 8
