"""relu and relu_grad: max(x, 0), and what of a gradient comes through it."""

import numpy as np

from .kernel import kernel


@kernel(x="f32||real[...]", out="f32[...]")
def relu(x: np.ndarray) -> np.ndarray:
    """y = x where x > 0, else 0; NaN stays NaN, −0 becomes 0. float32 of any shape.

    The result lies in memory as x does.
    """
    return np.where(x <= 0, x.dtype.type(0), x)


@kernel(g="f32[...]", y="f32[...]", out="f32[...]")
def relu_grad(g: np.ndarray, y: np.ndarray, *, overwrite_g: bool = False) -> np.ndarray:
    """dx = g where y = relu(x) > 0 or NaN, else 0 (at 0 the subgradient 0). float32, equal shapes.

    The result lies in memory as y does. With overwrite_g it is written into g, if that lies so and can be
    written to: two arrays pass through the caches then, not three. It must share no memory with y.
    """
    return np.where(y <= 0, g.dtype.type(0), g)


relu.runs("nn_relu(x.size, x, out)")
relu_grad.runs("nn_relu_grad(y.size, g, y, out)")
