"""What surrounds the sum of products of a quantised kernel: zero points, bias, requantisation."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from .arguments import F32, I8, I32, INTEGERS, U8, array, integer, vector
from .native import ffi

RANGE = {U8: (0, 255), I8: (-128, 127)}


class Around:
    """The arguments of qgemm beside a and b, as they were given, as they were checked, and as a C struct.

    Raises TypeError or ValueError naming the argument. `dtype` is the dtype of the result. `lasting`: C gets
    every array among them as it is, not as a converted copy, so that the struct serves later calls too.
    """

    __slots__ = ("_checked", "a_dtype", "a_zero", "b_zero", "bias", "c", "dtype", "keep", "lasting",
                 "out_dtype", "out_zero", "scale")

    def __init__(self, n: int, a_dtype: np.dtype, a_zero: Any, b_zero: Any, bias: Any, scale: Any,
                 out_zero: Any, out_dtype: Any) -> None:
        self.a_dtype, self.a_zero, self.b_zero, self.bias = a_dtype, a_zero, b_zero, bias
        self.scale, self.out_zero, self.out_dtype = scale, out_zero, out_dtype

        a_zero = integer("qgemm", "a_zero", a_zero, *RANGE[a_dtype])
        b_zero = _column_zeros(b_zero, n)
        bias = None if bias is None else vector("qgemm", "bias", bias, n, I32)
        if scale is None:
            self.dtype, low, high = I32, 0, 0
            if out_dtype is not None and _dtype(out_dtype) != I32:
                raise ValueError(f"qgemm: without scale out_dtype is int32, got {_dtype(out_dtype)}")
            integer("qgemm", "out_zero without scale", out_zero, 0, 0)
        else:
            scale = _scale(scale, n)
            self.dtype = a_dtype if out_dtype is None else _out_dtype(out_dtype)
            low, high = RANGE[self.dtype]
            out_zero = integer("qgemm", "out_zero", out_zero, low, high)
        self._checked = (a_zero, b_zero, bias, scale, out_zero)
        changing = (self.a_zero, self.b_zero, self.out_zero, None if scale is self.scale else self.scale)
        self.lasting = bias is self.bias and not any(isinstance(x, np.ndarray) for x in changing)
        if ffi is not None:
            self._for_c(n, low, high)

    def _for_c(self, n: int, low: int, high: int) -> None:
        a_zero, b_zero, bias, scale, out_zero = self._checked
        c = self.c = ffi.new("nn_qgemm_around *")
        c.a_signed, c.a_zero = self.a_dtype is I8, a_zero
        c.out_size, c.out_zero, c.low, c.high = self.dtype.itemsize, out_zero, low, high
        self.keep = []   # the buffers that the struct points to
        if not isinstance(b_zero, np.ndarray) and b_zero:
            b_zero = np.full(n, b_zero, I32)
        for name, x in (("b_zero", b_zero), ("bias", bias), ("scales", scale)):
            if isinstance(x, np.ndarray):
                self.keep.append(ffi.from_buffer(x))
                setattr(c, name, self.keep[-1])
        if isinstance(scale, float):
            c.scale = scale

    def checked(self) -> dict[str, Any]:
        """Keyword arguments for the NumPy specification."""
        a_zero, b_zero, bias, scale, out_zero = self._checked
        if isinstance(scale, np.ndarray):
            good = (scale > 0) & (scale < np.inf)
            if not good.all():
                raise ValueError(f"qgemm: every scale must be positive and finite, got {scale[~good][0]} "
                                 f"at column {int(np.argmin(good))}")
        return {"a_zero": a_zero, "b_zero": b_zero, "bias": bias, "scale": scale, "out_zero": out_zero,
                "out_dtype": None if scale is None else self.dtype}


def _column_zeros(b_zero: Any, n: int) -> int | np.ndarray:
    if not isinstance(b_zero, np.ndarray) or b_zero.ndim == 0:
        return integer("qgemm", "b_zero", b_zero, -128, 127)
    b_zero = array("qgemm", "b_zero", b_zero, 1, *INTEGERS)
    if b_zero.shape[0] != n:
        raise ValueError(f"qgemm: b_zero must be 1 or {n} integers, one for each column, got {len(b_zero)}")
    if n and not (b_zero.min() >= -128 and b_zero.max() <= 127):
        raise ValueError(f"qgemm: b_zero must be in -128..127, got {b_zero.min()}..{b_zero.max()}")
    return b_zero.astype(I32)


def _scale(scale: Any, n: int) -> float | np.ndarray:
    """A vector as it is (each call looks at what it holds), a number as the float32 nearest to it."""
    if isinstance(scale, np.ndarray) and scale.ndim:
        return vector("qgemm", "scale", scale, n, F32)
    if not isinstance(scale, (numbers.Real, np.ndarray)):
        raise TypeError(f"qgemm: scale must be a number or a float32 array, got {type(scale).__name__}")
    with np.errstate(over="ignore", under="ignore"):
        nearest = float(np.float32(scale))
    if not 0 < nearest < np.inf:
        raise ValueError(f"qgemm: scale must be positive and finite in float32, got {scale}")
    return nearest


def _dtype(dtype: Any) -> np.dtype:
    try:
        return np.dtype(dtype)
    except TypeError:
        raise TypeError(f"qgemm: out_dtype must be uint8 or int8, got {dtype!r}") from None


def _out_dtype(dtype: Any) -> np.dtype:
    for known in RANGE:
        if _dtype(dtype) == known:
            return known
    raise TypeError(f"qgemm: out_dtype must be uint8 or int8, got {_dtype(dtype)}")
