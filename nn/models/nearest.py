"""The network of a family that is nearest to a size: the rival that whatever is compressed has to beat."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..module import Module

WIDTHS = tuple(i / 64 for i in range(1, 64))


def parameters(model: Module) -> int:
    """The numbers that a `model` learns."""
    return sum(p.size for p in model.parameters())


def nearest(make: Callable[[float], Module], wanted: float, size: Callable[[Module], float] = parameters,
            widths: Sequence[float] = WIDTHS) -> Module:
    """The untrained network make(width) whose size is nearest to `wanted`, of these `widths`.

        rival = nn.models.nearest(lambda width: nn.models.digits_cnn(width, rng), wanted=4000)

    make: gives a network for a width, as nn.models.digits_mlp does; the size must not fall as it grows.
    size: what is counted, the number of parameters if left out. widths: rising, 1/64 … 63/64 if left out.
    Beside a pruned network stands the dense one of equal bytes and equal training (Blalock et al. 2020, "What
    is the state of neural network pruning?"). Raises ValueError for no widths.
    """
    if not widths:
        raise ValueError("nearest: wanted one width at least, got none")
    low, high = 0, len(widths) - 1
    while low < high:  # find the first that reaches `wanted`
        middle = (low + high) // 2
        low, high = (low, middle) if size(make(widths[middle])) >= wanted else (middle + 1, high)
    return min((make(width) for width in widths[max(low - 1, 0):low + 1]),
               key=lambda model: abs(size(model) - wanted))
