"""A packed operand: a matrix in the layout its kernel reads, with what can be worked out beforehand."""

from __future__ import annotations

from typing import Any

import numpy as np

LINE = 64  # bytes of a cache line, and of an AVX-512 register


def aligned(shape: tuple[int, ...], dtype: Any, zeros: bool = True) -> np.ndarray:
    """Zeros (or whatever the memory held) from the start of a cache line on, so that no 64-byte load of a
    kernel straddles two."""
    dtype = np.dtype(dtype)
    size = dtype.itemsize
    for extent in shape:
        size *= extent
    raw = (np.zeros if zeros else np.empty)(size + LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start:start + size].view(dtype).reshape(shape)


def frozen(part: Any) -> Any:
    """A read-only view of an array: what was checked when it was packed stays true."""
    if isinstance(part, np.ndarray):
        part = part.view()
        part.flags.writeable = False
    return part


class Packed:
    """One operand of one kernel, packed. Made by `kernel.pack(...)`, passed in the operand's place.

    It owns its memory and nothing else does: the matrix it was packed from may be changed or dropped.
    kernel: the one that it is for. shape: of that matrix. parts: what it consists of, by name.
    """

    __slots__ = ("kernel", "parts", "pinned", "plan", "shape")

    def __init__(self, kernel: Any, shape: tuple[int, ...], **parts: Any) -> None:
        self.kernel = kernel
        self.shape = shape    # of the matrix: (K, N), or (N, K) for a sparse weight; or of filters
        # name -> array (what it occupies) or a plain number (what is known about it)
        self.parts = {name: frozen(part) for name, part in parts.items()}
        self.plan: Any = None     # the C side's view of the parts, made by the first call
        self.pinned: Any = None   # arguments of the last call (bias, scale), already checked

    @property
    def nbytes(self) -> int:
        """Bytes in memory, all parts and their padding."""
        return sum(part.nbytes for part in self.parts.values() if isinstance(part, np.ndarray))

    def unpack(self) -> Any:
        """The operand as it was, to the bit: one array, or (values, indices, indptr) for a sparse one."""
        return self.kernel.unpack(self)

    def __deepcopy__(self, memo: dict) -> Packed:
        return self   # nothing in it can change

    def __reduce__(self) -> tuple:
        return self.kernel.repack, (self.unpack(), self.shape)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.shape))
        return f"<{self.kernel.name} operand {shape}, {self.nbytes} bytes>"


def packed_elsewhere(kernel: str, argument: str, operand: Packed) -> TypeError:
    """The error for an operand in the layout of another kernel."""
    came = operand.kernel.name
    return TypeError(f"{kernel}: {argument} must be packed by {kernel}.pack, got one packed by {came}.pack")
