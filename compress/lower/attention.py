"""Softmax attention, on float32; what lies otherwise than its kernel wants is left to the rule."""

from typing import Any

import numpy as np

from .table import Lowers, identity, lowers


@lowers("scaled_dot_product_attention")
class Attention(Lowers):
    """Queries, keys and values that some input goes into, of two to four axes, without broadcasting."""

    def takes(self, node: Any, known: Any) -> bool:
        *heads, mask = node.inputs
        if known.static & set(heads) or node.output in known.moving or not 2 <= len(node.shape) <= 4:
            return False
        values = [known.graph.value(name) for name in heads]
        float32 = all(value.dtype == np.float32 for value in values) and node.dtype == np.float32
        alike = all(value.shape[:-2] == node.shape[:-2] for value in values)
        widths = all(type(value.shape[-1]) is int and value.shape[-1] > 0 for value in values)
        if mask is not None:
            of_mask = known.graph.value(mask)
            alike = alike and len(of_mask.shape) <= 4 and of_mask.dtype in (np.float32, np.bool_)
        return float32 and alike and widths and mask not in known.weights

    def emit(self, node: Any, lower: Any) -> None:
        *_, mask = node.inputs
        constants = {}
        if mask in lower.known.static:
            constants["mask"] = lower.constant(mask, lambda numbers: numbers.value(mask))
        read = [lower.read(name, identity(len(lower.shape(name)))) for name in lower.known.reads(node)]
        scale = node.attrs["scale"]
        lower.write("attention", node, read, identity(len(node.shape)), constants,
                    causal=bool(node.attrs["is_causal"]), scale=None if scale is None else float(scale))
