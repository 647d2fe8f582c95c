"""Memory that notices: arrays that touch a forbidden page, and windows inside a frame of canaries.

A kernel that reads or writes one byte too far usually gets away with it: the neighbouring bytes belong to the
same process. Two remedies, both old ones:

    guarded(a, at="end")     the array's last byte is the last that may be touched: one further is SIGSEGV
    guarded(a, at="start")   the same for its first byte               (Electric Fence, B. Perens 1987)
    Frame(shape, dtype)      a window in a larger array of one known byte: writes around it are seen

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


def guarded(array: np.ndarray, at: str = "end", gap: int = 0) -> np.ndarray:
    """A writable copy of `array` that ends (at="end") or begins (at="start") flush against a forbidden page.

    Args:
        array: any shape and dtype; also zero-length, whose address then is the border itself.
        at:    "end" or "start".
        gap:   bytes between one row (along the last axis) and the next; what lies there is CANARY.
    """
    array = np.ascontiguousarray(array)
    strides = _strides(array.shape, array.itemsize, gap)
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


def _strides(shape: tuple[int, ...], itemsize: int, gap: int) -> tuple[int, ...]:
    strides, step = [], itemsize
    for axis, extent in enumerate(shape[::-1]):                 # from the last, whose elements are adjacent
        strides.append(step)
        step = step * extent + (gap if axis == 0 else 0)
    return tuple(strides[::-1])


def _forbid(address: int, size: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(size), PROT_NONE) != 0:
        raise OSError(ctypes.get_errno(), "mprotect failed")


class Frame:
    """A window with `border` rows and columns of CANARY bytes on each side, and one of each further axis."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype | type, border: int = 3):
        borders = (*[1] * (len(shape) - 2), border, border)
        canvas = np.empty([extent + 2 * around for extent, around in zip(shape, borders, strict=True)], dtype)
        self.canvas = canvas.view(np.uint8)
        self.canvas[...] = CANARY
        outside = np.ones(canvas.shape, bool)
        inside = tuple(slice(around, around + extent) for extent, around in zip(shape, borders, strict=True))
        outside[inside] = False
        self.outside = np.repeat(outside, canvas.itemsize, axis=-1)
        self.window = canvas[inside]

    def intact(self) -> bool:
        """Whether everything outside the window is as it was."""
        return bool(np.all(self.canvas[self.outside] == CANARY))
