"""What the layers of a network read on an example, for techniques that round by it: a Hessian a weight.

The layers that already have a chain are as they are seen through it: what a layer reads carries the errors of
those before it, and rounding by such inputs answers for them (Frantar et al. 2023, §4)."""

from collections.abc import Iterator
from dataclasses import replace
from math import prod

import numpy as np

import nn
from nn.context import no_grad
from nn.graph import Graph, Node
from nn.kernels.im2col import patches

from .examples import Example
from .lower.fold import Folding
from .second_order import Hessian

MOST = 2**22  # numbers in the patches of some images that are held at once


class LayerInputs:
    """The inputs of the layers of a traced `model` on an `example`, by the names of their weights."""

    def __init__(self, model: nn.Module, graph: Graph, example: Example) -> None:
        self.model, self.graph, self.example = model, graph, example
        nodes = {node.output: node for node in graph.nodes}
        whole = replace(graph, parametrizations=dict.fromkeys(graph.constants))  # and not some of their rows
        self._layers: dict[str, list[Node]] = {}  # of each weight, in the order in which they run
        for output, layer in Folding.of(whole).layers.items():
            self._layers.setdefault(layer.weight, []).append(nodes[output.removesuffix("@whole")])
        self._place = {node.output: i for i, node in enumerate(graph.nodes)}
        self._found: dict[str, Hessian] = {}

    def place(self, weight: str) -> int:
        """When the first layer with this weight runs; behind all others if none does."""
        return min((self._place[node.output] for node in self._layers.get(weight, ())),
                   default=len(self.graph.nodes))

    def hessian(self, weight: str) -> Hessian:
        """H of what is multiplied with a weight, found once: of all layers that read it, or rows of it.

        Raises ValueError, naming it, where no layer multiplies with it, or becomes NaN or infinite."""
        if weight not in self._found:
            if weight not in self._layers:
                raise ValueError(f"{weight}: no convolution or linear layer multiplies with it when the "
                                 "network runs, so its inputs are not known; choose None for it")
            try:
                self._found[weight] = Hessian.of(self._rows(self._layers[weight]))
            except ValueError as error:
                raise ValueError(f"calibration: what {weight} is multiplied with {error}") from None
        return self._found[weight]

    def _rows(self, layers: list[Node]) -> Iterator[np.ndarray]:
        """Inputs of these layers, (groups, some, in)."""
        read = {node.inputs[0] for node in layers}
        until = max((self._place[x] + 1 for x in read if x in self._place), default=0)
        graph = replace(self.graph, nodes=self.graph.nodes[:until], outputs={x: x for x in read},
                        constants=self.graph.constants | self._seen())
        for inputs in self.example.batches(graph):
            with np.errstate(over="ignore", invalid="ignore"):
                made = graph.run(**inputs)
            for node in layers:
                x = made[node.inputs[0]] if isinstance(made, dict) else made
                yield from _patches(node, x, self.graph) if node.op == "conv2d" else [
                    x.reshape(1, -1, x.shape[-1])]

    def _seen(self) -> dict[str, np.ndarray]:
        """The weights that have a chain by now, as they are seen."""
        with no_grad():
            return {name: one.parametrization.project(one).data for name, one in self.model.named_parameters()
                    if one.parametrization is not None}


def _patches(node: Node, x: np.ndarray, graph: Graph) -> Iterator[np.ndarray]:
    """Under every position of images (N, C, H, W) its patch in the order of `as_matrix`, group by group, some
    images at a time."""
    window, groups = graph.value(node.inputs[1]).shape[2:], node.attrs["groups"]
    how = [node.attrs[name] for name in ("stride", "padding", "dilation")]
    several = max(1, MOST // (prod(x.shape[1:]) * prod(window)))
    for start in range(0, len(x), several):
        some = x[start:start + several].transpose(0, 2, 3, 1)
        view = patches(some, window, *how, 0)
        yield np.stack([part.reshape(-1, prod(part.shape[3:])) for part in np.split(view, groups, axis=5)])
