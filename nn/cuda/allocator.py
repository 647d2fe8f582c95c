"""Memory of the device: what an array gives back is kept for the next one of about its size.

cudaMalloc waits for all that runs; a network that asks for the same sizes in every step must not. So blocks
are of few sizes, and what is free of a size is handed out again, in the stream that had it before: what was
asked there of the old array is done before anything that is asked of the new one. Where the device has no
room, all that is free is given back to it, and asked once more."""

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
        self._free: dict[tuple[int, int], list[int]] = defaultdict(list)  # size, stream -> addresses
        self._back: deque[tuple[int, int, int]] = deque()  # released, and not yet among the free ones
        self.in_use = self.kept = 0

    def allocate(self, nbytes: int, stream: int = 0) -> int:
        """The address of a block for so many bytes. Raises OutOfMemory."""
        size = rounded(nbytes)
        with self._lock:
            self._take_back()
            if free := self._free[size, stream]:
                address = free.pop()
                self.kept -= size
            else:
                address = self._new(size)
            self.in_use += size
        self.library.call("nn_cuda_lend", self._pointer(address), nbytes)
        return address

    def release(self, address: int, nbytes: int, stream: int = 0) -> None:
        """Take a block back. Python's garbage collector calls this at any moment, even in a thread that holds
        the lock: nothing is waited for."""
        self._back.append((address, rounded(nbytes), stream))

    def memory(self) -> dict[str, int]:
        """Bytes of blocks that arrays have (in_use), and of free ones (kept)."""
        with self._lock:
            self._take_back()
            return {"in_use": self.in_use, "kept": self.kept}

    def empty(self) -> None:
        """Give all that is free back to the device."""
        with self._lock:
            self._take_back()
            self._empty()

    def _take_back(self) -> None:
        while self._back:
            address, size, stream = self._back.popleft()
            self._free[size, stream].append(address)
            self.in_use, self.kept = self.in_use - size, self.kept + size

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
