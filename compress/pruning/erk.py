"""How sparse each layer is to be, so that the whole has a sparsity: Erdős–Rényi–Kernel.

Mocanu et al. (2018), "Scalable training of artificial neural networks with adaptive sparse connectivity
inspired by network science"; with kernels Evci et al. (2020), section 3 (1)."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from nn.arguments import number


def erk(shapes: Mapping[str, tuple[int, ...]], sparsity: float) -> dict[str, float]:
    """The sparsity of each weight of these shapes, by their names: together they have `sparsity`.

    The density of a weight (O, I, kH, kW) goes with (O + I + kH + kW)/(O·I·kH·kW), of (out, in) with
    (out + in)/(out·in): large layers are sparser. A layer whose density would exceed 1 is dense, and the
    others make up for it, until none does.

        recipe = {name: compress.RigL(s, steps) for name, s in erk(shapes, 0.9).items() if s}

    Raises TypeError or ValueError for a sparsity outside [0, 1), no shapes, and one with a length of 0."""
    number("erk", "sparsity", sparsity, 0, 1)
    if not shapes or not all(prod(shape) for shape in shapes.values()):
        raise ValueError(f"erk: needs the shapes of weights, none of them empty; got {dict(shapes)}")
    sizes = {name: prod(shape) for name, shape in shapes.items()}
    scores = {name: sum(shape) / sizes[name] for name, shape in shapes.items()}
    dense: set[str] = set()
    while True:
        rest = {name for name in shapes if name not in dense}
        living = (1 - sparsity) * sum(sizes.values()) - sum(sizes[name] for name in dense)
        factor = living / sum(scores[name] * sizes[name] for name in rest)
        over = {name for name in rest if factor * scores[name] > 1 + 1e-12}
        if not over:
            return {name: 0.0 if name in dense else max(1 - factor * scores[name], 0.0)
                    for name in shapes}
        dense.add(max(over, key=scores.__getitem__))
