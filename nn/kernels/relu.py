"""relu and relu_grad: max(x, 0), and what of a gradient comes through it."""

from __future__ import annotations

import numpy as np

from .elementwise import of_one, of_two
from .kernel import kernel


@kernel
def relu(x: np.ndarray) -> np.ndarray:
    """y = x where x > 0, else 0; NaN stays NaN, −0 becomes 0. float32 of any shape.

    The result lies in memory as x does. Raises TypeError for a wrong type or dtype.
    """
    return np.where(x <= 0, np.float32(0), x)


@kernel
def relu_grad(g: np.ndarray, y: np.ndarray, *, overwrite_g: bool = False) -> np.ndarray:
    """dx = g where y = relu(x) > 0 or NaN, else 0 (at 0 the subgradient 0). float32, equal shapes.

    The result lies in memory as y does. With overwrite_g it is written into g, if that lies so and can be
    written to: two arrays pass through the caches then, not three. It must share no memory with y.
    Raises TypeError for a wrong type or dtype, ValueError for two shapes.
    """
    return np.where(y <= 0, np.float32(0), g)


relu.bind(lambda x: of_one(relu, "nn_relu", x))
relu_grad.bind(lambda g, y, *, overwrite_g=False: of_two(relu_grad, "nn_relu_grad", "y", g, y, overwrite_g))
