"""Operations on every number by itself that have kernels: clips (ReLU), sums, batch norms not folded."""

from typing import Any

import numpy as np

from .fold import normalisation
from .table import Lowers, Need, lowers


@lowers("relu", "clamp")
class Clip(Lowers):
    """A float32 clip between numbers that no layer computes; on integers, by the codes of its ends."""

    need = Need.SAME

    def takes(self, node: Any, known: Any) -> bool:
        return node.dtype == np.float32 and known.ends(node) is not None

    def emit(self, node: Any, lower: Any) -> None:
        lower.write("clip", node, *lower.arguments(node), clip=lower.known.ends(node))


@lowers("add")
class Add(Lowers):
    """A residual connection: two float32 values of one shape; on integers, two grids to a third."""

    fuses, need = True, Need.OWN

    def takes(self, node: Any, known: Any) -> bool:
        values = [known.graph.value(name) for name in node.inputs]
        return (node.dtype == np.float32 and not known.static & set(node.inputs)
                and all((value.shape, value.dtype) == (node.shape, node.dtype) for value in values))

    def emit(self, node: Any, lower: Any) -> None:
        lower.write("add", node, *lower.arguments(node))


@lowers("batch_norm_eval")
class BatchNorm(Lowers):
    """A batch norm that no layer took in: a factor and a shift for each channel."""

    def takes(self, node: Any, known: Any) -> bool:
        x, *statistics = node.inputs
        constant = set(statistics) - {None} <= known.static
        return node.dtype == np.float32 and x not in known.static and constant

    def emit(self, node: Any, lower: Any) -> None:
        constants = {role: lower.constant(f"{node.output}.{role}", lambda numbers, part=part: normalisation(
            numbers.plain, node)[part].astype(np.float32)) for part, role in enumerate(("scale", "shift"))}
        channels_last = (0, *range(2, len(node.shape)), 1)
        lower.write("scale", node, *lower.arguments(node, channels_last), constants)
