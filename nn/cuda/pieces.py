"""Rows of arrays that a kernel reads in pieces of 16 bytes."""

from .array import DeviceArray, empty

PIECE = 16


def room(x: DeviceArray) -> tuple[int, DeviceArray | None]:
    """The distance in bytes at which rows of x (M, K) begin at whole pieces; and room for x so
    (csrc/cuda/spread.h), or None where it lies so."""
    m, k = x.shape
    size = x.dtype.itemsize
    stride = -(-k * size // PIECE) * PIECE
    return stride, None if stride == k * size else empty((m, stride // size), x.dtype)
