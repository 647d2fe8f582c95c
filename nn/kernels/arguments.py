"""What every kernel asks of its arguments. C sees none that did not pass here, or in C's own first lines.

A message says which kernel, which argument, what came and what was wanted: TypeError for a wrong type or
dtype, ValueError for a wrong shape or value.
"""

import operator
from typing import Any

import numpy as np

F32, F16, F64 = (np.dtype(t) for t in ("f4", "f2", "f8"))
I64, I32, I8, U8, U16, U32 = (np.dtype(t) for t in ("i8", "i4", "i1", "u1", "u2", "u4"))
FLOATS = F16, F64  # which a specification takes where C wants float32
INTEGERS = tuple(np.dtype(t) for t in "bBhHiIlLqQ")

# Bits of ndarray.flags.num, asked for together because each question costs 60 ns.
CONTIGUOUS, F_CONTIGUOUS, ALIGNED, WRITEABLE = 0x001, 0x002, 0x100, 0x400
READABLE, WRITABLE = CONTIGUOUS | ALIGNED, CONTIGUOUS | ALIGNED | WRITEABLE
TURNED = F_CONTIGUOUS | ALIGNED  # its transpose is READABLE


def array(kernel: str, name: str, x: Any, rank: int | None, *dtypes: np.dtype) -> np.ndarray:
    """`x` as a plain array of this rank (None: of any) and one of these dtypes."""
    if rank is None and isinstance(x, np.generic):
        x = np.asarray(x)  # a number of NumPy's is an array of no axes
    if not isinstance(x, np.ndarray) or isinstance(x, np.ma.MaskedArray):
        masked = isinstance(x, np.ma.MaskedArray)
        came = "nothing" if x is None else "a masked one" if masked else type(x).__name__
        raise TypeError(f"{kernel}: {name} must be a NumPy array, got {came}")
    if type(x) is not np.ndarray:
        x = np.asarray(x)  # the base class: a subclass may lie about its shape
    if x.dtype not in dtypes:
        wanted = "integers" if dtypes is INTEGERS else " or ".join(d.name for d in dtypes)
        came = f"{'byte-swapped ' * (not x.dtype.isnative)}{x.dtype.name}"
        raise TypeError(f"{kernel}: {name} must be {wanted}, got {came}")
    if rank is not None and x.ndim != rank:
        dimensions = "1 dimension" if rank == 1 else f"{rank} dimensions"
        raise ValueError(f"{kernel}: {name} must have {dimensions}, got shape {x.shape}")
    known = dtypes[dtypes.index(x.dtype)]
    return x if x.dtype is known else x.view(known)  # equal dtypes may be different objects (metadata)


def dense(x: np.ndarray) -> np.ndarray:
    """`x` itself if C can read it from end to end, else a contiguous copy."""
    return x if x.flags.num & READABLE == READABLE else np.array(x, order="C")


def adjacent(x: np.ndarray) -> np.ndarray:
    """`x` itself if C can read it where it lies (last axis without gaps, the others anywhere), or a copy."""
    size, strides = x.itemsize, x.strides
    there = (x.flags.aligned and (strides[-1] == size or x.shape[-1] == 1)
             and not any(stride % size for stride in strides))
    return x if there else np.array(x, order="C")


def without_gaps(x: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """x as an array without gaps whose axes lie in any order, and an empty one of this dtype that lies so."""
    like = np.empty_like(x, subok=False)
    if x.strides != like.strides or not x.flags.aligned:
        x = x.copy(order="K")
    return x, np.empty_like(x, dtype, subok=False)


def lying_like(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """g, lying in memory as x does."""
    if g.strides == x.strides and g.flags.aligned:
        return g
    same = np.empty_like(x)
    same[...] = g
    return same


def disagree(kernel: str, dim: str, a: str, a_shape: tuple, b: str, b_shape: tuple) -> ValueError:
    """The error for two arguments that differ in the size of an axis."""
    return ValueError(f"{kernel}: {a} and {b} must agree in {dim}, got shapes {a_shape} and {b_shape}")


def integer(kernel: str, name: str, x: Any, low: int, high: int) -> int:
    """`x` as a Python int in low..high. True and False are none."""
    try:
        value = operator.index(None if isinstance(x, bool) else x)
    except TypeError:
        raise TypeError(f"{kernel}: {name} must be an integer, got {type(x).__name__}") from None
    if not low <= value <= high:
        raise ValueError(f"{kernel}: {name} must be in {low}..{high}, got {value}")
    return value


def number(kernel: str, name: str, x: Any) -> None:
    """Raise TypeError unless x is a real number."""
    if isinstance(x, (bool, np.bool_)) or not isinstance(x, (int, float, np.number)):
        raise TypeError(f"{kernel}: {name} must be a number, got {type(x).__name__}")


def output(kernel: str, out: Any, shape: tuple[int, ...], dtype: np.dtype, *inputs: Any) -> np.ndarray:
    """`out` checked: shape, dtype, rows that lie apart, and no byte shared with an input that is an array."""
    out = array(kernel, "out", out, len(shape), dtype)
    if out.shape != shape:
        raise ValueError(f"{kernel}: out must have shape {shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError(f"{kernel}: out must be writable, got a read-only array")
    last, stride = (shape[-1], out.strides[-1]) if shape else (1, 0)  # of a single number too
    size, width = dtype.itemsize, last * dtype.itemsize
    apart, reach = last <= 1 or stride == size, width  # bytes from its first to its last
    for extent, stride in zip(shape[-2::-1], out.strides[-2::-1], strict=True):
        if extent > 1:
            apart, reach = apart and stride >= reach, reach + (extent - 1) * stride
    if out.size and not (apart and out.flags.aligned):
        raise ValueError(f"{kernel}: out must be aligned, with inner stride {size} and rows at least "
                         f"{width} bytes apart, got strides {out.strides}")
    if any(isinstance(x, np.ndarray) and shares(out, x) for x in inputs):
        raise ValueError(f"{kernel}: out must not overlap an input")
    return out


def shares(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether two arrays truly share a byte; where that is too hard to say, yes."""
    try:
        return np.may_share_memory(x, y) and np.shares_memory(x, y, max_work=10_000)
    except np.exceptions.TooHardError:
        return True


def no_room(kernel: str, shape: tuple[int, ...], error: Exception | None = None) -> Exception:
    """The error for a result that there is no room for: on this machine, or in any array."""
    if isinstance(error, MemoryError):
        return MemoryError(f"{kernel}: no memory for a result of shape {shape}")
    return ValueError(f"{kernel}: a result of shape {shape} is larger than an array can be")
