"""float16 is a way to store numbers, not to compute with them: it has 11 bits, and ends at 65,504.

In float16 a sum of ones stops at 2048, where 1 is half a step, and squares overflow from 256 on. So every
operation that computes converts float16 to float32 and rounds its result, once; gradients are float32 on
their way back, and rounded where they are given out (Micikevicius et al., "Mixed precision training", 2018).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

F16, F32 = np.dtype(np.float16), np.dtype(np.float32)


def is_half(x: Any) -> bool:
    """Whether x is a Tensor or an array of float16. (NumPy's scalars are numbers here.)"""
    return getattr(getattr(x, "dtype", None), "type", None) is np.float16 and not isinstance(x, np.generic)


def any_half(given: Iterable[Any]) -> bool:
    """Whether one of them is."""
    return any(getattr(getattr(x, "_data", x), "itemsize", 0) == 2 and is_half(x) for x in given)


def wide(dtype: np.dtype) -> np.dtype:
    """The dtype that gradients and averages of this one are computed in: float32 for float16, else itself."""
    return F32 if dtype.type is np.float16 else dtype
