"""A network whose parameters are float16 (`model.half()`), as one of float32 with weights of 2 bytes.

float16 is a way to store numbers, not to compute with them (nn/half.py): in the Graph a cast stands before
each layer, which makes float32 of its weight. Here the casts go, and every weight of two or more axes is seen
through Quantize(weights="float16"), which finds it in the format already: it is stored in 2 bytes and
multiplied by `half_gemm`. Biases and norms, a few numbers a channel, become float32. So what the Program
computes is what the network computes, but for the order of its float32 sums."""

from dataclasses import replace

import numpy as np

from nn.graph import Graph

from ..chain import Chain
from ..techniques.quantize import Quantize, QuantizeState

F16, F32 = np.dtype(np.float16), np.dtype(np.float32)


def without_halves(graph: Graph) -> Graph:
    """The graph with float32 in the place of float16 constants, wherever that is what is computed with."""
    halves = _widened(graph)
    constants = {name: array.astype(F32) if name in halves else array
                 for name, array in graph.constants.items()}
    chains = {name: Chain([Quantize(weights="float16")], [QuantizeState(np.zeros(0, F32))])
              for name in graph.constants if name in halves and constants[name].ndim > 1}
    known: dict[str, str] = {}  # a cast that goes, and what it cast
    nodes = []
    for node in graph.nodes:
        inputs = tuple(known.get(name, name) for name in node.inputs)
        if node.op == "cast" and node.inputs[0] in halves:
            known[node.output] = inputs[0]
        else:
            nodes.append(replace(node, inputs=inputs, dtype=F32 if node.output in halves else node.dtype))
    outputs = {name: known.get(value, value) for name, value in graph.outputs.items()}
    return replace(graph, constants=constants, nodes=tuple(nodes), outputs=outputs,
                   parametrizations=graph.parametrizations | chains)


def _widened(graph: Graph) -> set[str]:
    """The float16 constants, and what is made of them alone without computing (a part of one, another shape),
    that nothing reads but such operations and casts to float32."""
    made = {node.output: node for node in graph.nodes if node.dtype == F16 and node.op != "cast"}
    found = {name for name, array in graph.constants.items() if array.dtype == F16} | made.keys()
    found -= set(graph.outputs.values())
    while True:
        wrong = {name for name in found if not all(
            node.output in found or (node.op == "cast" and node.dtype == F32) for node in graph.users(name))}
        wrong |= {name for name in found & made.keys()
                  if not all(one is None or one in found for one in made[name].inputs)}
        if not wrong:
            return found
        found -= wrong
