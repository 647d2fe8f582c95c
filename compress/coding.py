"""Entropy coding: what is stored of a weight is written in fewer bytes, losslessly, and read back.

A Stored says which of its arrays are symbols, and of how many bits (`Stored.symbol_bits`). A coder writes
each of these as a code by how often every symbol comes, where that and its table are smaller; all that
remains is written as it is. On the way back nothing is trusted: what does not fit raises ValueError."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, cached_property
from math import prod
from typing import Any, ClassVar

import numpy as np

from nn.kernels.frequencies import entropy
from nn.registration import register
from nn.tensor import Tensor

from .dense import DenseWeight
from .formats.bits import pack_bits, unpack_bits
from .stored import CODED, Part, Stored, complete, read
from .transform import Context, Invariant, Transform

WIDEST = 16  # bits of a symbol
EXPANDS = 4096  # times at most that what is read exceeds its bytes: a small file can't ask for much memory
WHAT = ("payload", "indices", "tables")
BYTES = {what: Part(what, np.uint8, (None,), optional=True) for what in WHAT}


class Coding(Transform, abstract=True):
    """Base class of the last stage of a Chain, which leaves the weight as it is and codes how it is stored.

    A subclass has a `name` in files, and `table`, `write`, `read_table` and `read`. It registers itself by
    being defined; TypeError if another has its name."""

    keeps = frozenset(Invariant)
    lossless = True
    name: ClassVar[str]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        complete(cls, Coding, ("table", "write", "read_table", "read"))
        if "name" in vars(cls):
            register(CODED, cls.name, cls, "the coding")

    def fit(self, w: np.ndarray, context: Context) -> tuple:
        return ()

    def project(self, w: Tensor, state: tuple) -> Tensor:
        return w

    def rescaled(self, state: tuple, factor: np.ndarray) -> tuple:
        return state

    def bound(self, w: np.ndarray, state: tuple) -> float:
        return 0.0

    def encode(self, w: np.ndarray, state: tuple) -> Stored:
        """Of a chain that has no other stage."""
        return self.code(DenseWeight(w))

    def code(self, stored: Stored) -> Stored:
        """The same weight in the same form, whose arrays are coded when they are written; as it is where none
        of them are symbols."""
        return self.coded(type(stored)).of(stored) if stored.symbol_bits(stored.held) else stored

    @classmethod
    def coded(cls, plain: type[Stored]) -> type[Coded]:
        """The stored form `plain` as this coder writes it."""
        return _coded_class(cls, plain)

    @classmethod
    def table(cls, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """What the code for symbols that come so often is known by, as an array and as the bytes of its
        header, and how many bits all symbols take in it."""

    @classmethod
    def write(cls, symbols: np.ndarray, table: np.ndarray) -> np.ndarray:
        """Symbols, uint16 (n,), as bytes."""

    @classmethod
    def read_table(cls, header: np.ndarray) -> tuple[np.ndarray, int]:
        """The table of a header that more may follow, and the header's bytes. Raises ValueError."""

    @classmethod
    def read(cls, data: np.ndarray, table: np.ndarray, count: int) -> np.ndarray:
        """The `count` symbols in these bytes, all of them. Raises ValueError."""


class Coded(Stored, abstract=True):
    """A stored form whose arrays go into a file as strings of bytes: one of payload, one of indices, one of
    tables, as far as there are any.

    In memory it is the form that it codes, `plain`, and does all that this does. It is coded when somebody
    asks for its bytes, since a step of training that simulates what is stored does not.

    For each part of the plain form there stand in the tables, as numbers of seven bits a byte, the last of
    which is below 128: 1 or 0, whether an optional one is there; each length that the weight's shape does not
    tell; which of its dtypes it has, if there are several; the bits of a symbol, 0 where it is not coded; and
    of one that is coded how many bytes it takes and the header of its code. Its bytes, coded or as they are,
    follow those of the parts before, in the string of what it is."""

    coder: ClassVar[type[Coding]]
    parts = BYTES
    strings = True

    @classmethod
    def of(cls, stored: Stored) -> Coded:
        """This weight, coded."""
        twin = cls.__new__(cls)
        vars(twin).update(vars(stored))
        return twin

    @cached_property
    def written(self) -> dict[str, np.ndarray]:
        """The strings of bytes."""
        strings: dict[str, list[bytes]] = {what: [] for what in WHAT}
        held = dict(self.held.items())
        bits = self.plain.symbol_bits(held)
        for name, part in self.plain.parts.items():
            array, wanted = held[name], part.sizes(self.shape)
            free = [size for size, n in zip(array.shape, wanted, strict=False) if n is None]
            numbers = [*([int(array.shape != (0,))] if part.optional else []), *free]
            if isinstance(part.dtype, tuple):
                numbers.append([np.dtype(one) for one in part.dtype].index(array.dtype))
            raw = np.frombuffer(array.astype(array.dtype.newbyteorder("<")).tobytes(), np.uint8)
            width, header, data = self._smallest(raw, bits.get(name, 0))
            strings["tables"] += map(varint, [*numbers, width])
            if width:
                strings["tables"] += varint(len(data)), header.tobytes()
            strings[part.what].append((raw if data is None else data).tobytes())
        return {what: np.frombuffer(b"".join(some), np.uint8) for what, some in strings.items()}

    @classmethod
    def _smallest(cls, raw: np.ndarray, bits: int) -> tuple[int, np.ndarray | None, np.ndarray | None]:
        """(bits of a symbol, header, data) of the shortest code; (0, None, None) if that saves nothing.
        Symbols of few bits are also taken together, up to 8 bits: each is then less than a bit."""
        best, least = None, 8 * len(raw)
        for width in range(bits, max(8, bits) + 1, bits) if 0 < bits <= WIDEST and len(raw) else ():
            symbols = symbols_of(raw, width)
            table, header, expected = cls.coder.table(np.bincount(symbols))
            if expected + 8 * len(header) < least:
                best, least = (width, header, symbols, table), expected + 8 * len(header)
        if best is None:
            return 0, None, None
        width, header, symbols, table = best
        data = cls.coder.write(symbols, table)
        smaller = len(header) + len(varint(len(data))) + len(data) < len(raw) <= EXPANDS * len(data)
        return (width, header, data) if smaller else (0, None, None)

    def arrays(self) -> dict[str, np.ndarray]:
        """What is stored: the strings of bytes, read-only."""
        return dict(self.written)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> Coded:
        who = f"{cls.kind} weight {tuple(shape)}"
        for name, part in cls.parts.items():
            part.check(who, name, arrays[name], shape)
        plain = cls.plain.from_arrays(_Strings(who, cls.coder, arrays).parts(cls.plain, shape), shape)
        twin = cls.of(plain)
        twin.written = {name: np.frombuffer(array.tobytes(), np.uint8) for name, array in arrays.items()}
        return twin

    def uncoded(self) -> dict[str, int]:
        """The bytes of its arrays as they would be if nothing were coded, by what they are."""
        sizes = dict.fromkeys((part.what for part in self.plain.parts.values()), 0)
        for name, part in self.plain.parts.items():
            sizes[part.what] += self.held[name].nbytes
        return sizes

    def entropies(self) -> dict[str, float]:
        """The bytes that its streams of symbols have by their entropy (Shannon 1948), by what they are: no
        code of single symbols takes fewer, whatever its tables."""
        found: dict[str, float] = {}
        for name, bits in self.plain.symbol_bits(self.held).items():
            what = self.plain.parts[name].what
            raw = self.held[name].reshape(-1).view(np.uint8)
            found[what] = found.get(what, 0) + entropy(np.bincount(symbols_of(raw, bits))) / 8
        return found

    @property
    def nbytes(self) -> int:
        """Bytes that it holds: the plain form, and what was read or written of it."""
        written = vars(self).get("written", {})
        return super().nbytes + sum(array.nbytes for array in written.values())

    def __reduce__(self) -> tuple[Any, ...]:
        return read, (self.kind, self.arrays(), self.shape)  # its class has no name that pickle could find


@cache
def _coded_class(coder: type[Coding], plain: type[Stored]) -> type[Coded]:
    return type("Coded" + plain.__name__, (Coded, plain), {
        "kind": f"{plain.kind}+{coder.name}", "coder": coder, "plain": plain, "parts": BYTES})


class _Strings:
    """Reads the parts of a weight from its strings of bytes; ValueError where they are none."""

    def __init__(self, who: str, coder: type[Coding], arrays: Mapping[str, np.ndarray]) -> None:
        self.who, self.coder, self.left = who, coder, dict(arrays)
        self.room = EXPANDS * sum(map(len, arrays.values()))

    def parts(self, plain: type[Stored], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        """The arrays of the plain form of a weight of this shape."""
        found = {name: self.part(name, part, shape) for name, part in plain.parts.items()}
        for what, rest in self.left.items():
            if len(rest):
                raise ValueError(f"{self.who}: {len(rest)} bytes of {what} are left over")
        return found

    def part(self, name: str, part: Part, weight: tuple[int, ...]) -> np.ndarray:
        """The array of one part."""
        there = self.number() if part.optional else 1
        sizes = [self.number() if n is None else n for n in part.sizes(weight)] if there == 1 else [0]
        if there > 1:
            raise ValueError(f"{self.who}: whether there are any {name} is said by {there}")
        dtypes = part.dtype if isinstance(part.dtype, tuple) else (part.dtype,)
        which = self.number() if len(dtypes) > 1 else 0
        if which >= len(dtypes):
            raise ValueError(f"{self.who}: {name} has no dtype number {which}")
        dtype = np.dtype(dtypes[which])
        raw = self.raw(name, part.what, prod(sizes) * dtype.itemsize)
        return np.frombuffer(raw, dtype.newbyteorder("<")).reshape(sizes).astype(dtype)

    def raw(self, name: str, what: str, size: int) -> bytes:
        """The bytes of one part, so many."""
        width = self.number()
        if not width:
            return self.take(what, size).tobytes()
        if width > WIDEST or not 0 < size <= self.room:
            raise ValueError(f"{self.who}: no {size} bytes of {name} can be coded by {width} bits")
        length = self.number()
        table, used = self.coder.read_table(self.left["tables"])
        self.take("tables", used)
        try:
            symbols = self.coder.read(self.take(what, length), table, -(-8 * size // width))
        except ValueError as error:
            raise ValueError(f"{self.who}: {name}: {error}") from error
        if symbols.max(initial=0) >> width:
            raise ValueError(f"{self.who}: {name} has the symbol {symbols.max()}, of more than {width} bits")
        raw = pack_bits(symbols, width)
        if raw[size:].any():
            raise ValueError(f"{self.who}: the bits behind the last of {name} must be 0")
        return raw[:size].tobytes()

    def number(self) -> int:
        """The next number in the tables."""
        value = 0
        for i, byte in enumerate(self.left["tables"][:6].tolist()):
            value |= (byte & 127) << 7 * i
            if byte < 128:
                self.take("tables", i + 1)
                if i and not byte:
                    break
                return value
        raise ValueError(f"{self.who}: its tables end within a number, or hold none")

    def take(self, what: str, count: int) -> np.ndarray:
        """The next so many bytes of a string."""
        if count > len(self.left[what]):
            raise ValueError(f"{self.who}: its {what} are {count - len(self.left[what])} bytes too short")
        taken, self.left[what] = self.left[what][:count], self.left[what][count:]
        return taken


def symbols_of(raw: np.ndarray, width: int) -> np.ndarray:
    """Bytes as symbols of so many bits, uint16, the lowest first; behind the last byte there are zeros."""
    if width == 8:
        return raw.astype(np.uint16)
    count = -(-8 * len(raw) // width)
    return unpack_bits(np.append(raw, np.zeros(-(-count * width // 8) - len(raw), np.uint8)), width, count)


def varint(value: int) -> bytes:
    """A whole number, seven bits a byte, the lowest first; 128 is added to all but the last."""
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
