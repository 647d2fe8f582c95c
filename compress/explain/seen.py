"""The weight that is to be drawn, from whatever it comes as; and axes with a frame."""

from __future__ import annotations

from typing import Any

import numpy as np

from nn.context import no_grad
from nn.explain.canvas import FONT, INK, TITLE, axes
from nn.parameter import Parameter
from nn.tensor import Tensor

from ..stored import Stored


def seen(who: str, weight: Any) -> np.ndarray:
    """The values of a weight, float64: of a Parameter as its layer sees it, of a stored form decoded.

    Raises TypeError for what is no weight, ValueError for one without entries or with NaN or infinity."""
    if isinstance(weight, Parameter):
        with no_grad():
            weight = weight.parametrized().data
    elif isinstance(weight, Tensor):
        weight = weight.data
    elif isinstance(weight, Stored):
        weight = weight.decode()
    if not isinstance(weight, np.ndarray) or weight.dtype.kind not in "fiu":
        hint = ": give its .weight" if hasattr(weight, "weight") else ""
        raise TypeError(f"{who}: a weight is an array, a Tensor, a Parameter or a stored form; got "
                        f"{type(weight).__name__}{hint}")
    if not weight.size or not np.isfinite(weight).all():
        raise ValueError(f"{who}: the weight {weight.shape} is empty, or holds NaN or infinity")
    return weight.astype(np.float64)


def framed(who: str, ax: Any, size: tuple[float, float], title: str, x: str, y: str) -> Any:
    """`ax`, or axes of a new figure of this size in inches, with a title and labels that can be read from
    afar."""
    own = ax is None
    ax = axes(who, ax, *size)
    if own:
        wide, high = size
        ax.set_position((1 / wide, 0.8 / high, 1 - 1.2 / wide, 1 - 1.4 / high))
    ax.set_title(title, fontsize=TITLE, color=INK, loc="left")
    ax.set_xlabel(x, fontsize=FONT)
    ax.set_ylabel(y, fontsize=FONT)
    ax.tick_params(labelsize=FONT - 1)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
