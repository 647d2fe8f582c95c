"""Layers: linear and conv2d whose weight is a constant, multiplied in the form in which it is stored."""

from operator import methodcaller
from typing import Any

import numpy as np

from nn.geometry import pair

from ..formats.dynamic import is_dynamic
from .table import CHANNELS_LAST, Lowers, Need, identity, lowers, still


class _Product(Lowers):
    fuses = True

    def takes(self, node: Any, known: Any) -> bool:
        return node.output in known.folding.layers and node.dtype == np.float32

    def formats(self, node: Any, known: Any) -> Need:
        form = known.activations(node)
        return Need.REALS if form is None or form.dynamic else Need.INTEGERS

    def dynamic(self, node: Any, lower: Any) -> str:
        """The name of the format in which it reads its reals; "" where it reads them as they are."""
        form = lower.known.activations(node)
        return form.name if is_dynamic(form) else ""

    def rounding(self, node: Any, lower: Any) -> str:
        """How its sums become integers of the next grid; as usual where they don't."""
        known = lower.known
        onto = node.output in known.integer and known.result(node.output) in known.on_grid
        return known.chain(node).rounding if onto else "float"

    def constants(self, node: Any, lower: Any) -> dict[str, str]:
        """The names of its weight, and of the bias that it has or that integers need."""
        layer = lower.known.folding.layers[node.output]
        constants = {"weight": lower.constant(layer.weight, methodcaller("stored", layer.weight))}
        if node.output in lower.known.integer:
            x = node.inputs[0]
            root = lower.known.root(x)  # another use of the layer, on another grid, has other integers
            name = layer.bias if lower.biases.setdefault(layer.bias, root) == root else f"{layer.bias}@{x}"
            bias = methodcaller("integer_bias", layer.weight, layer.bias, x)
            constants["bias"] = lower.constant(name, bias)
        elif layer.own is not None or layer.norm is not None:
            constants["bias"] = lower.constant(layer.bias, lambda numbers: numbers.constants[layer.bias])
        return constants


@lowers("linear")
class Linear(_Product):
    """On the last axis of its input, whatever stands before it."""

    def emit(self, node: Any, lower: Any) -> None:
        rank, layout = len(node.shape), lower.layout(node.inputs[0], node.output in lower.known.integer)
        rows = lower.arguments(node, layout if layout[-1] == rank - 1 else identity(rank))
        lower.write("linear", node, *rows, self.constants(node, lower), rounding=self.rounding(node, lower),
                    activations=self.dynamic(node, lower))


@lowers("conv2d")
class Conv2d(_Product):
    """On images; a signal is an image one pixel high."""

    def takes(self, node: Any, known: Any) -> bool:
        return super().takes(node, known) and still(node, known)

    def emit(self, node: Any, lower: Any) -> None:
        how = {name: pair("convert", name, node.attrs[name], 0) for name in ("stride", "padding", "dilation")}
        algorithm = lower.algorithm if lower.known.chain(node) is None else "auto"
        images = lower.arguments(node, CHANNELS_LAST)
        lower.write("conv2d", node, *images, self.constants(node, lower), **how,
                    groups=int(node.attrs["groups"]), algorithm=algorithm,
                    rounding=self.rounding(node, lower), activations=self.dynamic(node, lower))
