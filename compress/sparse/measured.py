"""The break-evens of sparse products as this machine has them, beside those of cost.py, which are the same on
every machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import prod
from typing import Any

import numpy as np

from nn.geometry import positions
from nn.kernels import (
    conv2d,
    gemm,
    im2col,
    qconv2d,
    qgemm,
    qspmm_bsr,
    qspmm_csr,
    shapewise_conv2d,
    sparse_conv2d,
    spmm_bsr,
    winograd_conv2d,
)
from nn.timing import race

from ..stored import from_matrix
from .csr import SparseWeight

ROWS = 64  # of x: a batch
ZEROS = 0.85

Call = Callable[[], object]
Window = tuple[tuple[int, int], ...]  # an image's height and width, stride, padding and dilation


@cache
def measured_break_even(shape: tuple[int, ...], kernel: Any, rows: int = 1, dense: Any = gemm,
                        window: Window = (), seconds: float = 0.02) -> float:
    """From which fraction of zeros on (of blocks of so many `rows`, all 0) this kernel is faster than the
    dense one, with a weight of this shape and 64 rows of x, or one image: where the line through its times
    with 85 % of zeros and with none at all meets the time of the dense one. Takes about three times so many
    seconds, once a shape. Laying out patches is timed with a product that wants them."""
    rng, (out, columns) = np.random.default_rng(0), (shape[0], prod(shape[1:]))
    w = _numbers((out, columns), np.int8 if kernel in (qspmm_bsr, qspmm_csr) else np.float32)
    few = w * np.repeat(rng.random((-(-out // rows), columns)) >= ZEROS, rows, axis=0)[:out]
    weights = {"few": few.astype(w.dtype), "none": np.zeros_like(w)}
    calls = _of_images(shape, rows, window) if window else _of_rows(shape, rows)
    sparse = {name: calls(kernel, w) for name, w in weights.items()}
    times = race({"dense": calls(dense, w), **sparse}, seconds)
    alive = np.count_nonzero(few) / few.size
    slope = max(times["few"] - times["none"], 1e-12) / alive
    return float(np.clip(1 - (times["dense"] - times["none"]) / slope, 0, 1))


def _numbers(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    normal = np.random.default_rng(1).standard_normal(shape, np.float32)
    return normal if dtype is np.float32 else np.clip(32 * normal, -127, 127).astype(np.int8).view(dtype)


def _operand(kernel: Any, w: np.ndarray, shape: tuple[int, ...], rows: int) -> Any:
    if kernel in (spmm_bsr, qspmm_bsr):
        return kernel.pack(w, rows)
    if kernel is qspmm_csr:
        return kernel.pack(w)
    if kernel in (conv2d, qconv2d):
        return kernel.pack(from_matrix(w, shape))
    if kernel is qgemm:
        return qgemm.pack(w.T)
    return SparseWeight(from_matrix(w, shape)).operand(kernel)


def _of_rows(shape: tuple[int, ...], rows: int) -> Callable[[Any, np.ndarray], Call]:
    """Makes the call of a kernel with a weight, a matrix, and 64 rows of x."""
    def call(kernel: Any, w: np.ndarray) -> Call:
        whole = w.dtype == np.int8
        x = _numbers((ROWS, prod(shape[1:])), np.uint8 if whole else np.float32)
        y = np.empty((ROWS, shape[0]), np.int32 if whole else np.float32)
        operand = _operand(kernel, w, shape, rows)
        return lambda: kernel(x, operand, out=y)

    return call


def _of_images(shape: tuple[int, ...], rows: int, window: Window) -> Callable[[Any, np.ndarray], Call]:
    """The same with an image, of filters (O, C, kH, kW)."""
    size, *geometry = window
    how = dict(zip(("stride", "padding", "dilation"), geometry, strict=True))
    sides = *map(positions, size, shape[2:], *geometry),

    def call(kernel: Any, w: np.ndarray) -> Call:
        whole = w.dtype == np.int8
        x = _numbers((1, *size, shape[1]), np.uint8 if whole else np.float32)
        y = np.empty((1, *sides, shape[0]), np.int32 if whole else np.float32)
        if kernel is winograd_conv2d:
            filters = winograd_conv2d.pack(from_matrix(w, shape))
            return lambda: winograd_conv2d(x, filters, padding=how["padding"], out=y)
        operand = _operand(kernel, w, shape, rows)
        if kernel in (conv2d, sparse_conv2d, shapewise_conv2d, qconv2d):
            return lambda: kernel(x, operand, **how, out=y)
        patches = np.empty((*y.shape[:3], prod(shape[1:])), x.dtype)
        laid, out = (array.reshape(-1, array.shape[3]) for array in (patches, y))

        def with_patches() -> None:
            im2col(x, shape[2:], **how, out=patches)
            kernel(laid, operand, out=out)

        return with_patches

    return call
