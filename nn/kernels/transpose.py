"""transpose: the last two axes exchanged, as where images change their layout."""

import numpy as np

from .contract import Plan
from .kernel import kernel


@kernel(x="u8|f32[N,R,C]", out="u8|f32[N,C,R]")
def transpose(x: np.ndarray) -> np.ndarray:
    """y[n, c, r] = x[n, r, c]: uint8 or float32 (N, R, C) → (N, C, R).

    Images with their channels last are R pixels of C channels, with their channels first C channels of R
    pixels: from either layout to the other it is this.
    """
    return np.ascontiguousarray(x.transpose(0, 2, 1))


transpose.runs("nn_transpose(N, R, C, x.itemsize, x, out)", plan=lambda x_dtype: Plan(dtype=x_dtype))
