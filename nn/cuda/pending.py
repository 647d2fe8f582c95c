"""What is asked of the device number by number waits in a list, and follows in one launch (pointwise.cu).

    np.multiply(x, scale, out=y); np.add(y, shift, out=y); np.maximum(y, 0, out=y)       # one launch

An operation joins the list if its result has the shape of those before. What it reads that one of them has
made is a number of its thread already; what nobody can read any more when the list runs is not written. The
list runs (`flush`) when it is full, when another shape comes, when one thread would read what another has
written, and before anything else touches the device: a kernel, a copy, an event.

Here are no arrays: what is read and written has an address, a block of memory that lives as long as somebody
holds it, a dtype and a shape."""

from __future__ import annotations

import threading
import weakref
from functools import cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from .library import library

KINDS = {np.dtype("f4"): 0, np.dtype("i4"): 1, np.dtype("u1"): 2, np.dtype("?"): 2, np.dtype("i1"): 3}
NUMBER, ZEROS = 4, 5
MOST_READS, MOST_INSTRUCTIONS, MOST_WRITES, MOST_AXES = 12, 32, 8, 6  # what nn_cuda_pointwise has room for
READ = -1                                   # the instruction that reads
LARGEST_OPERATION = 10                      # instructions that one operation is


@cache
def numbers_of_instructions() -> dict[str, int]:
    """The instructions of the library by their names."""
    found = library()
    return {name: i for i, name in enumerate(found.text(found.lib.nn_cuda_pointwise_names()).split())}


class Region(NamedTuple):
    """Numbers in memory, as an operation goes through them: strides, in numbers, of each axis of the shape of
    its result."""

    block: Any
    address: int
    nbytes: int
    dtype: np.dtype
    strides: tuple[int, ...]

    def meets(self, other: Region) -> bool:
        """Whether both have a byte."""
        return self.address < other.address + other.nbytes and other.address < self.address + self.nbytes

    def is_like(self, other: Region) -> bool:
        """Whether each element meets the same bytes in both."""
        return self.address == other.address and self.strides == other.strides and (
            self.dtype.itemsize == other.dtype.itemsize)


class Write(NamedTuple):
    """region: where the numbers go; of its block only a weak reference, so that what nobody reads is not
    written. value: the instruction that makes them. kind: of nn_cuda_write."""

    region: Region
    value: int
    kind: int

    @property
    def wanted(self) -> bool:
        return self.region.block() is not None


class Pending:
    """The list of one stream. serial: how many lists there were before. owner: the stream itself, which stays
    as long as something waits for it."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.serial, self.owner = stream, 0, None
        self._clear((), ())

    def _clear(self, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self.shape, self.strides = shape, strides
        self.reads: list[Region | int] = []     # (a number by its bits)
        self.code: list[tuple[int, int, int]] = []  # operation, and the instructions that it works on
        self.writes: list[Write] = []

    def begin(self, shape: tuple[int, ...], reads: list[Region], out: Region) -> None:
        """Make ready for an operation with a result of this shape, which goes to `out`."""
        full = (len(self.reads) + len(reads) + 2 > MOST_READS or len(self.writes) >= MOST_WRITES
                or len(self.code) + LARGEST_OPERATION > MOST_INSTRUCTIONS)
        self.writes = [write for write in self.writes if write.wanted]
        if self.code and (full or shape != self.shape or self._mixes(reads, out)):
            self.flush()
        if not self.code:
            self._clear(shape, contiguous(shape))

    def _mixes(self, reads: list[Region], out: Region) -> bool:
        """Whether a thread would read what another one writes, or two would write one byte."""
        written = [write.region for write in self.writes]
        before = [read for read in self.reads if isinstance(read, Region)]
        return (any(new.meets(old) and not (new.is_like(old) and new.dtype == old.dtype)
                    for new in (*reads, out) for old in written)
                or any(out.meets(old) and not out.is_like(old) for old in before))

    def read(self, region: Region) -> int:
        """The instruction whose result are the numbers of a region."""
        for write in self.writes:
            if write.kind != ZEROS and write.region.is_like(region) and write.wanted:
                return write.value
        return self._reading(region)

    def number(self, bits: int) -> int:
        """The instruction whose result is one number, by its bits."""
        return self._reading(bits)

    def _reading(self, what: Region | int) -> int:
        for i, (operation, a, _) in enumerate(self.code):
            if operation == READ and type(self.reads[a]) is type(what) and self.reads[a] == what:
                return i
        self.reads.append(what)
        return self._add(READ, len(self.reads) - 1, 0)

    def do(self, name: str, a: int, b: int | None = None) -> int:
        """An instruction on the results of others."""
        return self._add(numbers_of_instructions()[name], a, a if b is None else b)

    def _add(self, *instruction: int) -> int:
        self.code.append(instruction)
        return len(self.code) - 1

    def write(self, region: Region, value: int, kind: int | None = None) -> None:
        """Where the result of an instruction goes."""
        self.writes = [one for one in self.writes if one.kind == ZEROS or not one.region.is_like(region)]
        kind = KINDS[region.dtype] if kind is None else kind
        self.writes.append(Write(region._replace(block=weakref.ref(region.block)), value, kind))

    def flush(self) -> None:
        """Run the list."""
        blocks = [write.region.block() for write in self.writes]  # held until it is launched, as reads are
        writes = [write for write, block in zip(self.writes, blocks, strict=True) if block is not None]
        described = self._described(writes) if writes and prod(self.shape) else None
        held = self.reads, blocks, self.owner
        self._clear((), ())
        self.owner = None
        self.serial += 1
        if described is not None:
            found = library()
            found.call("nn_cuda_pointwise_run", found.ffi.new("nn_cuda_pointwise *", described), self.stream)
        del held

    def _described(self, writes: list[Write]) -> dict[str, Any]:
        """The list as the library knows it: only what a write needs, in as few slots as may be."""
        needed, pointer = set(), library().ffi.cast
        for i in reversed(range(len(self.code))):
            if i in needed or any(write.value == i for write in writes):
                operation, a, b = self.code[i]
                needed |= {i} if operation == READ else {i, a, b}
        last = {write.value: len(self.code) for write in writes}
        for i in sorted(needed):
            operation, a, b = self.code[i]
            if operation != READ:
                last |= {one: max(last.get(one, 0), i) for one in (a, b)}
        slot, free, slots, code = {}, [], 0, []
        for i in sorted(needed):
            operation, a, b = self.code[i]
            dying = [] if operation == READ else [one for one in {a, b} if last[one] == i]
            free += [slot[one] for one in dying]
            slot[i] = free.pop() if free else slots
            slots = max(slots, slot[i] + 1)
            code.append({"op": operation, "to": slot[i], "a": a if operation == READ else slot[a],
                         "b": 0 if operation == READ else slot[b]})
        used = sorted({self.code[i][1] for i in needed if self.code[i][0] == READ})
        for one in code:
            if one["op"] == READ:
                one["a"] = used.index(one["a"])
        regions = [self.reads[i] for i in used]
        shape, strides = merged(self.shape, [one.strides for one in regions if isinstance(one, Region)])
        flat = [isinstance(one, Region) and one.strides == self.strides for one in regions]
        at = iter(strides)
        reads = [{"kind": NUMBER, "number": one} if not isinstance(one, Region) else {
            "at": pointer("void *", one.address), "kind": KINDS[one.dtype], "flat": is_flat,
            "strides": next(at)}
            for one, is_flat in zip(regions, flat, strict=True)]
        starts = [one.address for one, is_flat in zip(regions, flat, strict=True) if is_flat]
        starts += [write.region.address for write in writes if write.kind != ZEROS]
        return {"size": prod(self.shape), "sizes": shape, "axes": len(shape), "instructions": len(code),
                "writes": len(writes), "slots": slots, "aligned": not any(start % 16 for start in starts),
                "read": reads, "instruction": code,
                "write": [{"at": pointer("void *", write.region.address), "kind": write.kind,
                           "slot": slot[write.value]} for write in writes]}


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides, in numbers, of an array without gaps; 0 along an axis of one."""
    return tuple(prod(shape[axis + 1:]) if size != 1 else 0 for axis, size in enumerate(shape))


def merged(shape: tuple[int, ...], strides: list[tuple[int, ...]]
           ) -> tuple[list[int], list[list[int]]]:
    """Axes that all regions go through as one are one: the sizes and each one's strides."""
    sizes, steps = [], [[] for _ in strides]
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        if sizes and all(own[-1] == one[axis] * size for own, one in zip(steps, strides, strict=True)):
            sizes[-1] *= size
            for own, one in zip(steps, strides, strict=True):
                own[-1] = one[axis]
        else:
            sizes.append(size)
            for own, one in zip(steps, strides, strict=True):
                own.append(one[axis])
    return sizes, steps


_lists: dict[Any, Pending] = {}
lock = threading.RLock()  # of all lists


def pending(stream: Any, owner: Any = None) -> Pending:
    """The list of a stream, which is its owner's; under `lock`."""
    found = _lists.setdefault(stream, Pending(stream))
    found.owner = owner or found.owner
    return found


def flush() -> None:
    """Run all lists."""
    with lock:
        for each in list(_lists.values()):
            if each.code:
                each.flush()


def mark(stream: Any) -> tuple[int, int]:
    """How far a stream's list has come: how many there were before it, and its instructions."""
    with lock:
        found = pending(stream)
        return found.serial, len(found.code)


def forget(stream: Any) -> None:
    """A stream ends, for which nothing waits."""
    _lists.pop(stream, None)
