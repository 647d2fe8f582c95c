"""Rows of arrays, where a kernel reads them in pieces of 16 bytes."""

from .array import DeviceArray, empty
from .device_kernel import Call


def spread(call: Call, x: DeviceArray, multiple: int = 16) -> tuple[DeviceArray, int]:
    """x (M, K), or a copy of it whose rows begin at multiples of so many bytes, zeros between; and their
    distance in bytes."""
    m, k = x.shape
    size = x.dtype.itemsize
    stride = -(-k * size // multiple) * multiple
    if stride == k * size:
        return x, stride
    made = empty((m, stride // size), x.dtype)
    call("nn_cuda_spread_rows", m, k * size, stride, x, made)
    return made, stride
