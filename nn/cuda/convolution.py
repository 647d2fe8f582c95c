"""Convolutions as csrc/cuda/convolution.h knows them: their geometry, and the layout of their filters."""

from typing import Any

import numpy as np

from ..geometry import Pair, both
from .array import DeviceArray
from .device_kernel import Call


def convolution(call: Call, x: DeviceArray, w: tuple[int, ...], out: DeviceArray, stride: int | Pair,
                padding: int | Pair, dilation: int | Pair, groups: int) -> Any:
    """The geometry of the convolution of x (N, H, W, C) with filters of shape w into out, for the library."""
    numbers = *x.shape, *out.shape[1:], *w[2:], *both(stride), *both(padding), *both(dilation), groups
    return call.library.ffi.new("nn_cuda_convolution *", numbers)


def filter_rows(w: np.ndarray, step: int) -> np.ndarray:
    """w (O, C, kH, kW) as rows (O, kH·kW·C), filled up with zeros to a multiple of `step` numbers: what one
    filter multiplies lies in one piece, in the order in which it lies in channels-last images."""
    o, k = len(w), w[:1].size if len(w) else 0
    rows = np.zeros((o, -(-k // step) * step), w.dtype)
    rows[:, :k] = w.transpose(0, 2, 3, 1).reshape(o, k)
    return rows


def tap_rows(w: np.ndarray, step: int) -> np.ndarray:
    """w (C, 1, kH, kW) as rows (kH·kW, C), filled up with zeros to a multiple of `step` numbers."""
    c, _, kh, kw = w.shape
    rows = np.zeros((kh * kw, -(-c // step) * step), w.dtype)
    rows[:, :c] = w.reshape(c, kh * kw).T
    return rows
