"""An operand: one argument of one kernel in the layout that the kernel reads, worked out beforehand."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from .native import lib

LINE = 64    # bytes of a cache line, and of an AVX-512 register
PANEL = 16   # columns that lie together when a matrix is packed: as many floats as a line has
AXES = (-2, -4, -1, -3), (-4, -3, -2, -1)  # of cells, their rows, panels, columns; and where they go then


def aligned(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Zeros from the start of a cache line on, so that no 64-byte load of a kernel straddles two."""
    size = np.dtype(dtype).itemsize * prod(shape)
    raw = np.zeros(size + LINE, np.uint8)
    start = -raw.__array_interface__["data"][0] % LINE
    return raw[start:start + size].view(dtype).reshape(shape)


def in_panels(b: np.ndarray, step: int = 1) -> np.ndarray:
    """Matrices (…, K, N) in panels of 16 columns and cells of `step` rows: b[…, step·q + i, 16p + c] is at
    […, p, q, c, i] of an array (…, ⌈N/16⌉, ⌈K/step⌉, 16, step), with zeros where b has no number."""
    *others, k, n = b.shape
    cells, panels = -(-k // step), -(-n // PANEL)
    padded = np.zeros((*others, cells * step, panels * PANEL), b.dtype)
    padded[..., :k, :n] = b
    return np.moveaxis(padded.reshape(*others, cells, step, panels, PANEL), *AXES)


def from_panels(panels: np.ndarray, k: int, n: int) -> np.ndarray:
    """The way back: contiguous matrices (…, k, n)."""
    *others, width, cells, _, step = panels.shape
    whole = np.moveaxis(panels, *AXES[::-1]).reshape(*others, cells * step, width * PANEL)
    return np.ascontiguousarray(whole[..., :k, :n])


class Operand:
    """One operand of one kernel, packed: made by `kernel.pack(...)`, passed in its place, immutable.

    It owns its memory and nothing else does: the matrix it was packed from may be changed or dropped.
    kernel: the one that it is for. shape: of that matrix. parts: what it consists of, by name: arrays (what
    it occupies) and plain numbers (what is known about it). c: the parts as the C code knows them.
    """

    __slots__ = ("_last", "c", "kernel", "parts", "shape")

    def __init__(self, kernel: Any, shape: tuple[int, ...], **parts: Any) -> None:
        self.kernel = kernel
        self.shape = shape  # of the matrix: (K, N), or (N, K) for a sparse weight; or of filters
        for name, part in parts.items():  # what was checked when it was packed stays true
            if isinstance(part, np.ndarray):
                parts[name] = part.view()
                parts[name].flags.writeable = False
        self.parts = parts
        self.c = kernel.seen_by_c(self) if lib else None
        self._last = kernel.nothing  # the last call's plan, and what it was made for: the kernel's memory

    @property
    def nbytes(self) -> int:
        """Bytes in memory, all parts and their padding."""
        return sum(part.nbytes for part in self.parts.values() if isinstance(part, np.ndarray))

    def unpack(self) -> Any:
        """The operand as it was, to the bit: one array, or (values, indices, indptr) for a sparse one."""
        return self.kernel.unpack(self)

    def __deepcopy__(self, memo: dict) -> Operand:
        return self  # nothing in it can change

    def __reduce__(self) -> tuple:
        return _unpickled, (self.kernel, self.shape, self.parts)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.shape))
        return f"<{self.kernel.name} operand {shape}, {self.nbytes} bytes>"


def _unpickled(kernel: Any, shape: tuple[int, ...], parts: dict[str, Any]) -> Operand:
    copies = dict(parts)
    for name, part in parts.items():
        if isinstance(part, np.ndarray):
            copies[name] = aligned(part.shape, part.dtype.str)
            copies[name][...] = part
    return Operand(kernel, shape, **copies)
