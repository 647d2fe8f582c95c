"""Plain values as bytes and back: all that passes between a hand-in and what judges it.

None, bool, int, float, complex, str, bytes, Fraction, NumPy arrays and scalars of numbers, arrays of Python
numbers, and lists, tuples and dicts of these. Each is a letter and its content:

    N T F       None, True, False              a <dtype> <shape> <bytes>   an array
    i <n> …     an integer of n bytes          g <dtype> <bytes>           a NumPy scalar
    f c         8 or 16 bytes                  o <shape> <items>           an array of Python numbers
    s b <n> …   n bytes of text, or as such    l t d <n> <items>           n items, or pairs
    q <i> <i>   a Fraction                     k <n>                       the n-th function sent along

Types are compared, not asked: an object of a subclass, which may have an `__eq__` of its own, does not pass.
Reading runs no code of the sender, makes nothing but these types, and trusts no length. (A pickle would do
all three.) A function may go along where the receiver is to call it back: see `pack`."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

DEEPEST = 60  # lists in lists
MOST = 1 << 20  # values in a message; an array of numbers is one
LARGEST = 1024  # bytes of an integer: Python prints none of over 4300 digits
LONGEST = 1 << 20  # characters of a text
DTYPE = re.compile(rb"[<>|=][biufc]\d{1,2}")
WANTED = "None, numbers, text, bytes, NumPy arrays, or lists, tuples and dicts of these"


class WireError(ValueError):
    """What can't be sent, or is no message."""


def pack(value: Any, functions: list[Callable] | None = None) -> bytes:
    """The bytes of a plain value. With `functions`, a list, callables are allowed, and are appended to it.

    Raises WireError for anything else, with its type and where it is."""
    parts: list[bytes] = []
    _pack(value, parts, functions, 0)
    return b"".join(parts)


def _pack(value: Any, parts: list[bytes], functions: list[Callable] | None, depth: int) -> None:
    kind = type(value)
    if depth > DEEPEST:
        raise WireError(f"lists in lists, more than {DEEPEST} deep")
    if len(parts) > MOST or (kind in (list, tuple, dict) and len(value) > MOST):
        raise WireError(f"more than {MOST:,} numbers and lists; wanted few, or an array")
    if value is None:
        parts.append(b"N")
    elif kind is bool:
        parts.append(b"T" if value else b"F")
    elif kind is int:
        size = value.bit_length() // 8 + 1
        if size > LARGEST:
            raise WireError(f"an integer of {value.bit_length():,} bits; wanted less than {8 * LARGEST:,}")
        parts.append(_sized(b"i", value.to_bytes(size, "little", signed=True)))
    elif kind is float:
        parts.append(b"f" + struct.pack("<d", value))
    elif kind is complex:
        parts.append(b"c" + struct.pack("<dd", value.real, value.imag))
    elif kind is str:
        if len(value) > LONGEST:
            raise WireError(f"a text of {len(value):,} characters; wanted {LONGEST:,} at most")
        parts.append(_sized(b"s", value.encode("utf-8", "surrogatepass")))
    elif kind is bytes:
        parts.append(_sized(b"b", value))
    elif kind is Fraction:
        parts.append(b"q")
        _pack(value.numerator, parts, None, depth)
        _pack(value.denominator, parts, None, depth)
    elif kind in (list, tuple):
        parts.append((b"l" if kind is list else b"t") + struct.pack("<Q", len(value)))
        for item in value:
            _pack(item, parts, functions, depth + 1)
    elif kind is dict:
        parts.append(b"d" + struct.pack("<Q", len(value)))
        for key, item in value.items():
            _pack(key, parts, None, depth + 1)
            _pack(item, parts, functions, depth + 1)
    elif kind is np.ndarray or (isinstance(value, np.generic) and kind.__module__ == "numpy"):
        _pack_array(value, parts, depth)
    elif functions is not None and callable(value):
        parts.append(b"k" + struct.pack("<Q", len(functions)))
        functions.append(value)
    else:
        raise WireError(f"a {kind.__qualname__} of {kind.__module__}, which is no plain value; wanted "
                        f"{WANTED}")


def _pack_array(value: np.ndarray | np.generic, parts: list[bytes], depth: int) -> None:
    dtype = value.dtype.str.encode()
    if isinstance(value, np.ndarray) and value.dtype == object:
        parts.append(b"o" + _shape(value.shape))
        for item in value.ravel().tolist():
            _pack(item, parts, None, depth + 1)
    elif not DTYPE.fullmatch(dtype):
        raise WireError(f"an array of dtype {value.dtype}; wanted numbers or booleans")
    elif isinstance(value, np.ndarray):
        parts += [_sized(b"a", dtype), _shape(value.shape), value.tobytes()]
    else:
        parts += [_sized(b"g", dtype), value.tobytes()]


def _sized(letter: bytes, content: bytes) -> bytes:
    return letter + struct.pack("<Q", len(content)) + content


def _shape(shape: tuple[int, ...]) -> bytes:
    return struct.pack(f"<B{len(shape)}Q", len(shape), *shape)


def unpack(message: bytes, function: Callable[[int], Callable] | None = None) -> Any:
    """The value that these bytes say; function(n) is what stands for the n-th function sent along.

    Raises WireError for bytes that `pack` does not write."""
    reader = _Reader(message, function)
    try:
        value = reader.value(0)
    except (struct.error, ValueError, ArithmeticError, TypeError, MemoryError) as error:
        if isinstance(error, WireError):
            raise
        raise WireError(f"no message: {error}") from None
    if reader.at != len(message):
        raise WireError("no message: there is more behind its end")
    return value


class _Reader:
    def __init__(self, message: bytes, function: Callable[[int], Callable] | None):
        self.message, self.function, self.at = memoryview(message), function, 0
        self.values = 0

    def take(self, size: int) -> memoryview:
        """The next `size` bytes."""
        if size > len(self.message) - self.at:
            raise WireError("no message: it ends too early")
        self.at += size
        return self.message[self.at - size:self.at]

    def number(self) -> int:
        return struct.unpack("<Q", self.take(8))[0]

    def count(self) -> int:
        """How many items follow, of which each takes a byte at least."""
        n = self.number()
        if n > len(self.message) - self.at:
            raise WireError("no message: it ends too early")
        return n

    def shape(self) -> tuple[int, ...]:
        n = self.take(1)[0]
        return struct.unpack(f"<{n}Q", self.take(8 * n))

    def dtype(self) -> np.dtype:
        name = bytes(self.take(self.number()))
        if not DTYPE.fullmatch(name):
            raise WireError("no message: no dtype of numbers")
        return np.dtype(name.decode())

    def value(self, depth: int) -> Any:
        letter = bytes(self.take(1))
        if depth > DEEPEST:
            raise WireError(f"lists in lists, more than {DEEPEST} deep")
        self.values += 1
        if self.values > MOST:
            raise WireError(f"no message: more than {MOST:,} values")
        match letter:
            case b"N":
                return None
            case b"T" | b"F":
                return letter == b"T"
            case b"i":
                size = self.number()
                if size > LARGEST:
                    raise WireError("no message: an integer is too large")
                return int.from_bytes(self.take(size), "little", signed=True)
            case b"f":
                return struct.unpack("<d", self.take(8))[0]
            case b"c":
                return complex(*struct.unpack("<dd", self.take(16)))
            case b"s":
                size = self.number()
                if size > 4 * LONGEST:
                    raise WireError("no message: a text is too long")
                return bytes(self.take(size)).decode("utf-8", "surrogatepass")
            case b"b":
                return bytes(self.take(self.number()))
            case b"q":
                return Fraction(self.value(depth + 1), self.value(depth + 1))
            case b"l":
                return [self.value(depth + 1) for _ in range(self.count())]
            case b"t":
                return tuple(self.value(depth + 1) for _ in range(self.count()))
            case b"d":
                return {self.value(depth + 1): self.value(depth + 1) for _ in range(self.count())}
            case b"a" | b"g" | b"o":
                return self.array(letter, depth)
            case b"k" if self.function is not None:
                return self.function(self.number())
        raise WireError("no message: it has an unknown letter")

    def array(self, letter: bytes, depth: int) -> Any:
        if letter == b"g":
            dtype = self.dtype()
            return np.frombuffer(self.take(dtype.itemsize), dtype)[0]
        dtype = self.dtype() if letter == b"a" else np.dtype(object)
        shape = self.shape()
        size = prod(shape)
        try:
            if letter == b"a":
                flat = np.frombuffer(self.take(size * dtype.itemsize), dtype).copy()
            else:
                if size > len(self.message) - self.at:
                    raise WireError("no message: it ends too early")
                flat = np.empty(size, object)
                for i in range(size):
                    flat[i] = self.value(depth + 1)
            return flat.reshape(shape)
        except ValueError as error:
            raise WireError(f"no message: {error}") from None
