"""Memory that notices: arrays that touch a forbidden page, and windows inside a frame of canaries.

A kernel that reads or writes one byte too far usually gets away with it: the neighbouring bytes belong to the
same process. Two remedies, both old ones:

    guarded(a, at="end")     the array's last byte is the last that may be touched: one further is SIGSEGV
    guarded(a, at="start")   the same for its first byte               (Electric Fence, B. Perens 1987)
    Frame((m, n), dtype)     a window in a larger array of one known byte: writes around it are seen

Guard pages kill the process, so they are used in a child (nn/testing/memory.py).
"""

from __future__ import annotations

import ctypes
import mmap
import os

import numpy as np

CANARY = 0xA5
PROT_NONE = 0                                                   # as in <sys/mman.h>


def why_not() -> str | None:
    """None where guard pages work, else the reason in one sentence (for a skip)."""
    return None if os.name == "posix" else f"guard pages need POSIX mmap and mprotect, this is {os.name}"


def guarded(array: np.ndarray, at: str = "end", pitch: int | None = None) -> np.ndarray:
    """A writable copy of `array` that ends (at="end") or begins (at="start") flush against a forbidden page.

    Args:
        array: any shape and dtype; also zero-length, whose address then is the border itself.
        at:    "end" or "start".
        pitch: bytes from one row to the next, for a matrix; what lies between rows is CANARY.
    """
    array = np.ascontiguousarray(array)
    strides = array.strides if pitch is None else (pitch, array.itemsize)
    reach = [(n - 1) * stride for n, stride in zip(array.shape, strides, strict=True)]
    span = sum(reach) + array.itemsize if array.size else 0     # bytes from the first to the last, inclusive

    page = mmap.PAGESIZE
    room = -(-span // page) * page                              # the pages that hold the array
    memory = mmap.mmap(-1, page + room + page)                  # forbidden | room | forbidden
    memory[page:page + room] = bytes([CANARY]) * room
    start = page + room - span if at == "end" else page
    copy = np.ndarray(array.shape, array.dtype, memory, start, strides if array.size else None)
    copy[...] = array                                           # and `copy` keeps `memory` alive
    for forbidden in (0, page + room):
        _forbid(ctypes.addressof(ctypes.c_char.from_buffer(memory, forbidden)), page)
    return copy


def _forbid(address: int, size: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(size), PROT_NONE) != 0:
        raise OSError(ctypes.get_errno(), "mprotect failed")


class Frame:
    """A 2-D window with `border` rows and columns of CANARY bytes on each side."""

    def __init__(self, shape: tuple[int, int], dtype: np.dtype | type, border: int = 3):
        (rows, columns), size = shape, np.dtype(dtype).itemsize
        self.canvas = np.full((rows + 2 * border, (columns + 2 * border) * size), CANARY, np.uint8)
        self.outside = np.ones(self.canvas.shape, bool)
        self.outside[border:border + rows, border * size:(border + columns) * size] = False
        self.window = self.canvas.view(dtype)[border:border + rows, border:border + columns]

    def intact(self) -> bool:
        """Whether everything outside the window is as it was."""
        return bool(np.all(self.canvas[self.outside] == CANARY))
