"""Freed memory that the process keeps, so that the next training step need not ask the system for it."""

import os
import sys
from ctypes import CDLL

import numpy as np

from .arguments import is_int

LARGEST = (1 << 31) - 1  # bytes: mallopt takes an int
chosen = False  # whether keep_freed was called


def keep_freed(most: int = 1 << 30) -> None:
    """Let glibc keep up to `most` bytes of freed memory for this process; other C libraries are left alone.

    glibc hands freed memory back to the system where a block is larger than a threshold (at first 128 KiB),
    and beyond twice that at the end of the heap. The next training step gets it back page by page, and the
    system clears each page: 30 % of an epoch of digits_cnn. Freeing a larger block raises the threshold to
    its size, up to 32 MiB (mallopt(3), M_MMAP_THRESHOLD), so a block is made and freed here; it is never
    written to and takes no memory. How much stays at the end of the heap (M_TRIM_THRESHOLD) is set too.

    nn.train.fit calls this, unless you did. Thresholds that the environment sets (MALLOC_…, GLIBC_TUNABLES)
    stay as they are. Raises ValueError for a `most` that is not a whole number in 0..2³¹ − 1.
    """
    global chosen
    if not is_int(most) or not 0 <= most <= LARGEST:
        raise ValueError(f"keep_freed: most must be a number of bytes in 0..{LARGEST}, got {most!r}")
    chosen = True
    if not any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        np.empty(31 << 20, np.uint8)
        libc = CDLL(None) if sys.platform == "linux" else None
        if hasattr(libc, "gnu_get_libc_version"):
            libc.mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD, at its most: smaller blocks come from the heap
            libc.mallopt(-1, int(most))  # M_TRIM_THRESHOLD: of which so much may lie free at its end
