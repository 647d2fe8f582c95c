"""Sums, greatest and least numbers of arrays of the device, along the last axes of float32
(csrc/cuda/reduce.cu)."""

from math import prod
from typing import Any

import numpy as np

from .elementwise import OnlyOnHost, copy
from .library import library
from .stream import current

HOW = {np.add: 0, np.maximum: 1, np.minimum: 2}


def reduce(function: np.ufunc, x: Any, axis: Any = 0, dtype: Any = None, out: Any = None,
           keepdims: bool = False, initial: float | None = None) -> Any:
    """NumPy's function.reduce. Raises OnlyOnHost for what is not computed on the device; ValueError for the
    greatest or least of no numbers."""
    axes = sorted(range(x.ndim)[one] for one in (
        range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)))
    last = axes == list(range(x.ndim - len(axes), x.ndim))
    if function not in HOW or not last or x.dtype != np.float32 or dtype not in (None, np.float32):
        raise OnlyOnHost(f"np.{function.__name__}.reduce of {x.dtype} along axes {axes} of {x.ndim} is not "
                         "computed on the device")
    kept, width = x.shape[:x.ndim - len(axes)], prod(x.shape[x.ndim - len(axes):])
    made, found = x.like(kept, np.float32), library()
    if made.size and not width and function is not np.add and initial is None:
        raise ValueError(f"np.{function.__name__}.reduce of no numbers")
    if made.size:
        where = x.pointer, made.pointer, current()
        found.call("nn_cuda_reduce_rows", HOW[function], prod(kept), width, *where)
    made = made.reshape(kept + (1,) * len(axes) if keepdims else kept)
    if initial is not None:
        function(made, np.float32(initial), out=made)
    if out is None:
        return made
    (out,) = out if isinstance(out, tuple) else (out,)
    copy(out, made)
    return out


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """np.mean."""
    total = reduce(np.add, x, axis, keepdims=keepdims)
    return np.divide(total, np.float32(x.size // max(total.size, 1)), out=total)
