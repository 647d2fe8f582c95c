"""What a property may take for granted of a returned value, checked first: each failure is a sentence.

    codes = expect.array(student.quantize(x, scale, zero, 8), "quantize", dtype=np.uint8, shape=x.shape)
    scale, zero = expect.items(student.scale_and_zero_point(low, high, 8), "scale_and_zero_point", 2)
    scale = expect.real(scale, "the scale")
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def array(value: Any, what: str, *, dtype: Any = None, shape: tuple[int | None, ...] | None = None,
          finite: bool = True) -> np.ndarray:
    """The value, if it is an array of this dtype (a type, or one of several in a tuple; any numbers if None)
    and shape (None for any length), without NaN and infinity unless `finite` is false. Raises
    AssertionError."""
    if not isinstance(value, np.ndarray):
        raise AssertionError(f"{what}: wanted an array; got {_got(value)}")
    wanted = [np.dtype(one) for one in (dtype if isinstance(dtype, tuple) else (dtype,))] if dtype else []
    if wanted and value.dtype not in wanted:
        raise AssertionError(f"{what}: wanted dtype {' or '.join(map(str, wanted))}; got {value.dtype}")
    if value.dtype.kind not in "biufc" and not wanted:
        raise AssertionError(f"{what}: wanted an array of numbers; got dtype {value.dtype}")
    if shape is not None and (value.ndim != len(shape) or any(
            n is not None and n != m for n, m in zip(shape, value.shape, strict=True))):
        said = ", ".join("any" if n is None else str(n) for n in shape)
        raise AssertionError(f"{what}: wanted the shape ({said}{',' * (len(shape) == 1)}); got {value.shape}")
    if finite and value.dtype.kind in "fc" and not np.isfinite(value).all():
        raise AssertionError(f"{what}: there are NaN or infinite numbers in it")
    return value


def real(value: Any, what: str) -> float:
    """The value as a float, if it is a finite real number (a NumPy scalar or array of no dimensions too)."""
    number = _scalar(value)
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
        raise AssertionError(f"{what}: wanted a finite number; got {_got(value)}")
    return float(number)


def whole(value: Any, what: str) -> int:
    """The value as an int, if it is a whole number of an integer type. Raises AssertionError."""
    number = _scalar(value)
    if isinstance(number, bool) or not isinstance(number, int):
        raise AssertionError(f"{what}: wanted an integer; got {_got(value)}")
    return number


def items(value: Any, what: str, n: int | None = None) -> Sequence[Any]:
    """The value, if it is a tuple or a list, of n items unless that is None. Raises AssertionError."""
    if not isinstance(value, (tuple, list)):
        raise AssertionError(f"{what}: wanted {'a list' if n is None else f'{n} values'}; got {_got(value)}")
    if n is not None and len(value) != n:
        raise AssertionError(f"{what}: wanted {n} values; got {len(value)}")
    return value


def same_bytes(value: Any, wanted: bytes, what: str) -> None:
    """AssertionError unless the value is these bytes; both are shown in bits, the highest first."""
    if not isinstance(value, bytes):
        raise AssertionError(f"{what}: wanted bytes; got {_got(value)}")
    if value != wanted:
        said = [" ".join(f"{byte:08b}" for byte in content) or "no byte" for content in (wanted, value)]
        raise AssertionError(f"{what}: wanted {said[0]}; got {said[1]}")


def same_integers(value: Any, wanted: list[int], what: str) -> None:
    """AssertionError unless the value is a list, or a tuple, of these integers."""
    found = [whole(one, f"{what}: an item of it") for one in items(value, what)]
    if found != wanted:
        raise AssertionError(f"{what}: wanted {wanted}; got {found}")


def refused(function: Callable, *args: Any, why: str) -> None:
    """A call of a hand-in's function that must raise ValueError, and nothing else: AssertionError if it does
    not, which begins with `why`."""
    try:
        said = f"it returned {_got(function(*args))}"
    except AssertionError as failure:
        if getattr(failure, "kind", "") == "ValueError":
            return
        said = str(failure)
    raise AssertionError(f"{why}: {function.__name__} must raise ValueError; {said}")


def _scalar(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) or (
        isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype != object) else value


def _got(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} and shape {value.shape}"
    text = repr(value)
    text = text if len(text) < 60 else f"{text[:50]} …"
    return text if value is None else f"{text} ({type(value).__name__})"
