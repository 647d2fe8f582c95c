"""An integer Program as onnxruntime runs it: the same integers, in the operators of ONNX and of onnxruntime.

These (QLinearConv and its like) are what onnxruntime makes of a network that was quantized statically. Images
are N,C,H,W, and inside as onnxruntime likes to have them."""

from typing import Any

import numpy as np

from ...program.program import Program
from .integer_layers import Layer, integer_layers
from .peers import Peer, onnx_network

THEIRS = "com.microsoft"  # the domain of onnxruntime's own operators


def onnx_program(program: Program, x: np.ndarray) -> Peer:
    """What runs the Program on x, input and output bound. RuntimeError for what ONNX can't be told."""
    graph = _Graph(program)
    for layer in integer_layers(program):
        getattr(graph, layer.op)(layer, *map(graph.name, layer.inputs))
    return onnx_network(graph.nodes, x, graph.constants, np.zeros(program(x).shape, np.float32))


class _Graph:
    """The operators so far, from an input "a" to an output "y"; a method for each op of a Layer."""

    def __init__(self, program: Program) -> None:
        (last,) = program.outputs.values()
        self.ends = {program.input: "a", last: "y"}
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}

    def name(self, value: str) -> str:
        """Of a value of the Program, in the graph."""
        return self.ends.get(value, f"value {value}")

    def constant(self, array: Any, dtype: Any) -> str:
        """The name of an array."""
        name = f"constant {len(self.constants)}"
        self.constants[name] = np.asarray(array, dtype)
        return name

    def on(self, grid: Any) -> list[str]:
        """Scale and zero point of a value; nothing of reals."""
        numbers = () if grid is None else ((grid.scale, np.float32), (grid.zero, np.uint8))
        return [self.constant(*number) for number in numbers]

    def weighs(self, layer: Layer) -> list[str]:
        """A weight, with its scales and zero points."""
        zeros = np.zeros(len(layer.weight))
        return [self.constant(layer.weight, np.int8), self.constant(layer.scale, np.float32),
                self.constant(zeros, np.int8)]

    def node(self, op: str, layer: Layer, inputs: list[str], domain: str | None = None, **attributes: Any
             ) -> None:
        """One more operator."""
        from onnx import helper

        outputs = [self.name(layer.output)]
        self.nodes.append(helper.make_node(op, inputs, outputs, domain=domain, **attributes))

    def quantize(self, layer: Layer, x: str) -> None:
        """QuantizeLinear."""
        self.node("QuantizeLinear", layer, [x, *self.on(layer.grid)])

    def conv2d(self, layer: Layer, x: str) -> None:
        """QLinearConv."""
        how = layer.how
        inputs = [x, *self.on(layer.of[0]), *self.weighs(layer), *self.on(layer.grid),
                  self.constant(layer.bias, np.int32)]
        self.node("QLinearConv", layer, inputs, strides=how["stride"], pads=2 * how["padding"],
                  dilations=how["dilation"], group=how["groups"], kernel_shape=layer.weight.shape[2:])

    def linear(self, layer: Layer, x: str) -> None:
        """QGemm, onto the grid of the result or to reals."""
        inputs = [x, *self.on(layer.of[0]), *self.weighs(layer), self.constant(layer.bias, np.int32)]
        self.node("QGemm", layer, [*inputs, *self.on(layer.grid)], THEIRS, transB=1)

    def max_pool2d(self, layer: Layer, x: str) -> None:
        """MaxPool, which takes integers."""
        self.node("MaxPool", layer, [x], **_window(layer))

    def avg_pool2d(self, layer: Layer, x: str) -> None:
        """QLinearAveragePool."""
        inputs = [x, *self.on(layer.of[0]), *self.on(layer.grid)]
        self.node("QLinearAveragePool", layer, inputs, THEIRS, count_include_pad=1, **_window(layer))

    def add(self, layer: Layer, a: str, b: str) -> None:
        """QLinearAdd."""
        inputs = [a, *self.on(layer.of[0]), b, *self.on(layer.of[1]), *self.on(layer.grid)]
        self.node("QLinearAdd", layer, inputs, THEIRS)

    def flatten(self, layer: Layer, x: str) -> None:
        """Flatten."""
        self.node("Flatten", layer, [x], axis=1)


def _window(layer: Layer) -> dict[str, Any]:
    how = layer.how
    return {"kernel_shape": how["kernel"], "strides": how["stride"], "pads": 2 * how["padding"]}
