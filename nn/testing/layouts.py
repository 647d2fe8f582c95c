"""The same values in other places in memory: the views a caller may pass instead of a contiguous array."""

from __future__ import annotations

import numpy as np


def padded_rows(array: np.ndarray, poison: int = 0x7F) -> np.ndarray:
    """Rows (along the last axis) further apart than they are wide, as a window of a larger array; `poison`
    bytes between them."""
    *rows, columns = array.shape
    room = np.full((*rows, (columns + 5) * array.itemsize), poison, np.uint8).view(array.dtype)
    room[..., :columns] = array
    return room[..., :columns]


def shifted(array: np.ndarray, poison: int = 0x7F) -> np.ndarray:
    """Contiguous, one element off whatever alignment the allocation had; `poison` bytes before and after."""
    room = np.full((array.size + 2) * array.itemsize, poison, np.uint8).view(array.dtype)
    room[1:-1] = array.ravel()
    return room[1:-1].reshape(array.shape)


def unaligned(array: np.ndarray) -> np.ndarray:
    """Contiguous, one byte off: where a float then lies, C may not read a float."""
    room = np.empty(array.nbytes + 1, np.uint8)
    view = room[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def transposed(array: np.ndarray) -> np.ndarray:
    """Column after column, as `x.T` of a contiguous x; the axes of an image in their opposite order."""
    return np.ascontiguousarray(array.T).T


def reversed_rows(array: np.ndarray) -> np.ndarray:
    """The first row last in memory: a negative stride."""
    return np.ascontiguousarray(array[::-1])[::-1]


def reversed_columns(array: np.ndarray) -> np.ndarray:
    """Each row from right to left in memory: a negative inner stride."""
    return np.ascontiguousarray(array[..., ::-1])[..., ::-1]


def every_other(array: np.ndarray) -> np.ndarray:
    """Each element with a foreign one after it: an inner stride of two."""
    room = np.repeat(array, 2, axis=-1)
    room[..., 1::2] = np.frombuffer(b"\x7f" * array.itemsize, array.dtype)[0]
    return room[..., ::2]


OF_VECTORS = (shifted, unaligned, reversed_columns, every_other)
OF_MATRICES = (*OF_VECTORS, padded_rows, transposed, reversed_rows)
