"""Layers: linear and conv2d whose weight is a constant, multiplied in the form in which it is stored."""

from typing import Any

import numpy as np

from .layouts import CHANNELS_LAST, identity
from .table import Lowers, Need, lowers, pair, still


class _Product(Lowers):
    fuses = True

    def takes(self, node: Any, known: Any) -> bool:
        return node.output in known.folding.layers and node.dtype == np.float32

    def formats(self, node: Any, known: Any) -> Need:
        return Need.REALS if known.activations(node) is None else Need.INTEGERS

    def emit(self, node: Any, lower: Any) -> None:
        layer = lower.known.folding.layers[node.output]
        constants = {"weight": lower.constant(layer.weight, lambda numbers: numbers.stored(layer.weight))}
        if lower.on_integers(node):
            x = node.inputs[0]
            root = lower.known.root(x)  # another use of the layer, on another grid, has other integers
            name = layer.bias if lower.biases.setdefault(layer.bias, root) == root else f"{layer.bias}@{x}"
            constants["bias"] = lower.constant(
                name, lambda numbers: numbers.integer_bias(layer.weight, layer.bias, x))
        elif layer.own is not None or layer.norm is not None:
            constants["bias"] = lower.constant(layer.bias, lambda numbers: numbers.constants[layer.bias])
        self.product(node, lower, constants)


@lowers("linear")
class Linear(_Product):
    """On the last axis of its input, whatever stands before it."""

    def product(self, node: Any, lower: Any, constants: dict[str, str]) -> None:
        rank, integers = len(node.shape), lower.on_integers(node)
        layout = lower.layout(node.inputs[0], integers)
        layout = layout if layout[-1] == rank - 1 else identity(rank)
        x = lower.read(node.inputs[0], layout, integers)
        lower.write("linear", node, [x], layout, constants, grid=True, **lower.clip(node))


@lowers("conv2d")
class Conv2d(_Product):
    """On images; a signal is an image one pixel high."""

    def product(self, node: Any, lower: Any, constants: dict[str, str]) -> None:
        attributes = {name: pair(node.attrs[name]) for name in ("stride", "padding", "dilation")}
        usual = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)}
        attributes = {name: value for name, value in attributes.items() if value != usual[name]}
        if node.attrs["groups"] != 1:
            attributes["groups"] = int(node.attrs["groups"])
        if lower.algorithm != "auto" and lower.known.chain(node) is None:
            attributes["algorithm"] = lower.algorithm
        attributes |= lower.clip(node)
        x = lower.read(node.inputs[0], CHANNELS_LAST, lower.on_integers(node))
        lower.write("conv2d", node, [x], CHANNELS_LAST, constants, grid=True, **attributes)

    def takes(self, node: Any, known: Any) -> bool:
        return super().takes(node, known) and still(node, known)
