"""Memory of the device: what an array gives back is kept for the next one of about its size.

cudaMalloc waits for all that runs; a network that asks for the same sizes in every step must not. So blocks
are of few sizes, and what is free of a size is handed out again. Where the device has no room, all that is
free is given back to it, and asked once more."""

import threading
from collections import defaultdict, deque

from .library import Library, OutOfMemory

SMALL, LARGE = 512, 1 << 21                 # blocks are multiples of these: below 1 MB of the first


def rounded(nbytes: int) -> int:
    """The size of the block that serves for so many bytes."""
    step = SMALL if nbytes <= LARGE // 2 else LARGE
    return max(1, -(-nbytes // step)) * step


class Allocator:
    """The blocks of one library. in_use, kept: bytes of those that arrays have, and of free ones."""

    def __init__(self, library: Library) -> None:
        self.library, self._lock = library, threading.Lock()
        self._free: dict[int, list[int]] = defaultdict(list)  # size -> addresses
        self._returned: deque[tuple[int, int]] = deque()  # sizes and addresses that come back
        self.in_use = self.kept = 0

    def allocate(self, nbytes: int) -> int:
        """The address of a block for so many bytes. Raises OutOfMemory."""
        size = rounded(nbytes)
        with self._lock:
            self._take_back()
            if self._free[size]:
                address = self._free[size].pop()
                self.kept -= size
            else:
                address = self._new(size)
            self.in_use += size
        self.library.call("nn_cuda_lend", self._pointer(address), nbytes)
        return address

    def release(self, address: int, nbytes: int) -> None:
        """Take a block back. It may be the garbage collector that calls, in the middle of `allocate`: so
        there is no lock here."""
        self._returned.append((rounded(nbytes), address))

    def bytes(self) -> tuple[int, int]:
        """in_use and kept."""
        with self._lock:
            self._take_back()
            return self.in_use, self.kept

    def _take_back(self) -> None:
        while self._returned:
            size, address = self._returned.popleft()
            self._free[size].append(address)
            self.in_use, self.kept = self.in_use - size, self.kept + size

    def empty(self) -> None:
        """Give all that is free back to the device."""
        with self._lock:
            self._take_back()
            self._empty()

    def _new(self, size: int) -> int:
        at = self.library.ffi.new("void **")
        try:
            self.library.call("nn_cuda_allocate", size, at)
        except OutOfMemory:
            if not self.kept:
                raise self._no_room(size) from None
            self._empty()
            try:
                self.library.call("nn_cuda_allocate", size, at)
            except OutOfMemory:
                raise self._no_room(size) from None
        return int(self.library.ffi.cast("uintptr_t", at[0]))

    def _no_room(self, size: int) -> OutOfMemory:
        return OutOfMemory(f"cuda: no room for {size:,} bytes on {self.library.name}; {self.in_use:,} of "
                           f"{self.library.memory:,} are in use here", 2, "cudaErrorMemoryAllocation")

    def _empty(self) -> None:
        for addresses in self._free.values():
            for address in addresses:
                self.library.call("nn_cuda_release", self._pointer(address))
        self._free.clear()
        self.kept = 0

    def _pointer(self, address: int):
        return self.library.ffi.cast("void *", address)
