"""What is known of a network before it is lowered: which values are constant, and on which grid integers are.

All grids are solved first. A value stays on integers if what makes it can make integers and all that read it
can take them. Values that must have one grid (the inputs and the result of a cat, of a pool) are united."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from nn.graph import Node
from nn.sizes import names_in

from ..formats.format import Format, Grid
from ..ranges.observer import Observer
from .fold import Folding
from .rules import NUMPY
from .table import TABLE, Lowers, Need


class Known:
    """The structure of a folded network. chains: those that weights are seen through, by the weights' names.

    weights: constants that are in their stored form, those of layers and those with a chain. static: values
    that no input goes into, and that are computed before it runs; rows that are looked up in a table with a
    chain are none, for they would be stored as floats then. moving: nodes with attributes that depend on
    named lengths. after: the result of a node that computes a clip too, by the node's own output; clips: the
    ends of that clip. formats, observers: in which format layers want the integers of a value, and what finds
    its range. calling: the nodes with calls of their own, by the value that these leave. integer: outputs of
    those that compute on integers. on_grid: values that are integers. roots: for each value that shares its
    grid the one that stands for all that do. classes: for each root that is read on a grid its format, and
    the values whose ranges it takes. biases: of a weight's layers on integers, with the root of what each
    reads."""

    def __init__(self, folding: Folding, chains: Mapping[str, Any]) -> None:
        self.folding, self.graph, self.chains = folding, folding.graph, chains
        self.moving = {node.output for node in self.graph.nodes if names_in(node.attrs)}
        layers = folding.layers.values()
        self.weights = {layer.weight for layer in layers} | chains.keys() & self.graph.constants.keys()
        self.static = set(self.graph.constants) | {layer.bias for layer in layers}
        for node in self.graph.nodes:
            still = node.output not in self.moving and not names_in(node.shape)
            still = still and not (node.op == "embedding" and node.inputs[0] in chains)
            if still and all(name is None or name in self.static for name in node.inputs):
                self.static.add(node.output)
        self.after: dict[str, str] = {}
        self.clips: dict[str, tuple[float | None, float | None]] = {}
        for node in self.nodes():
            readers = self.graph.users(node.output) if self.row(node).fuses else []
            alone = len(readers) == 1 and node.output not in self.graph.outputs.values()
            ends = self.ends(readers[0]) if alone and readers[0].inputs[0] == node.output else None
            if ends is not None:
                self.after[node.output], self.clips[readers[0].output] = readers[0].output, ends
        self.calling = {self.result(node.output): node for node in self.nodes()
                        if node.output not in self.clips}
        self.needs = {node.output: self.row(node).formats(node, self) for node in self.calling.values()}
        self.formats, self.observers = self._formats()
        self.on_grid = self._staying()
        self.integer = {output for output, need in self.needs.items() if need is Need.INTEGERS or (
            need is not Need.REALS and self.result(output) in self.on_grid)}
        self.roots: dict[str, str] = {}
        for value, node in self.calling.items():
            if self.needs[node.output] is Need.SAME and node.output in self.integer:
                united = {value, *self.reads(node)}
                before = set(map(self.root, united))
                united |= {one for one, root in self.roots.items() if root in before}
                self.roots |= dict.fromkeys(united, value)
        self.classes = self._classes()
        self.biases: dict[str, list[tuple[str, str]]] = {}
        for node in self.calling.values():
            layer = folding.layers.get(node.output)
            if layer is not None and node.output in self.integer:
                self.biases.setdefault(layer.weight, []).append((layer.bias, self.root(node.inputs[0])))

    # What there is

    def nodes(self) -> list[Node]:
        """The nodes that compute something of an input, in order."""
        return [node for node in self.graph.nodes if node.output not in self.static]

    def reads(self, node: Node) -> list[str]:
        """The values that a node reads and that some input goes into, in order."""
        return [name for name in node.inputs if name is not None and name not in self.static]

    def row(self, node: Node) -> Lowers:
        """How a node is lowered: the row of its op, if that takes it."""
        row = TABLE.get(node.op, NUMPY)
        return row if row.takes(node, self) else NUMPY

    def result(self, output: str) -> str:
        """The value that the calls of a node leave: its output, or that of the clip that they compute."""
        return self.after.get(output, output)

    def chain(self, node: Node) -> Any:
        """The chain of a layer's weight; None for a plain one, and for a node that is no layer."""
        layer = self.folding.layers.get(node.output)
        return None if layer is None else self.chains.get(layer.weight)

    def activations(self, node: Node) -> Format | None:
        """The format of the activations that a layer reads; None if it reads reals."""
        chain = self.chain(node)
        return None if chain is None else chain.activations

    def ends(self, node: Node) -> tuple[float | None, float | None] | None:
        """The ends of a node that is a clip, as numbers; None for any other."""
        if node.op == "relu":
            return 0.0, None
        constants, ends = self.graph.constants, node.inputs[1:]
        if node.op != "clamp" or node.dtype != np.float32 or not all(
                name is None or (name in constants and constants[name].size == 1) for name in ends):
            return None
        low, high = (None if name is None else float(np.float32(constants[name].item())) for name in ends)
        return low, high

    # Which values are integers

    def _formats(self) -> tuple[dict[str, Format], dict[str, type[Observer]]]:
        """The format that a layer wants of the integers of a value that it reads, or that is made of it; and
        what finds the range of that value, as the same layer's chain says."""
        chains: dict[str, Any] = {}
        for value, node in reversed(self.calling.items()):
            need = self.needs[node.output]
            wanted = self.chain(node) if need is Need.INTEGERS else chains.get(value)
            if wanted is not None and need is not Need.REALS:
                chains = dict.fromkeys(self.reads(node), wanted) | chains
        return ({value: chain.activations for value, chain in chains.items()},
                {value: chain.observer for value, chain in chains.items()})

    def _staying(self) -> set[str]:
        """The values that are integers from maker to all readers: the greatest set that holds together."""
        able = {value for value, node in self.calling.items() if self.needs[node.output] is not Need.REALS}
        able, before = able - set(self.graph.outputs.values()), set()
        while able != before:
            before = able
            able = {value for value in able if self._stays(value, able)}
        return able

    def _stays(self, value: str, able: set[str]) -> bool:
        """Whether a value's node can make integers, as it wants some or all its inputs are, and all that read
        it take them, in one format: it never becomes real."""
        node, readers = self.calling[value], self.graph.users(value)
        need, read = self.needs[node.output], set(self.reads(node))
        if need is Need.OWN:  # on any grids: also that of an input, of which a layer wants such integers
            read = {name for name in read if self._taken_in(name) is not self.formats.get(value)}
        form = self.formats.get(value)  # kernels round sums to it, which make uint8, equal steps apart
        rounds = form is not None and form.uniform and form.dtype is np.uint8
        makes = (rounds or need is Need.SAME) and (need is Need.INTEGERS or read <= able)
        return makes and bool(readers) and all(
            self.formats[value] == self.activations(node) if self.needs[node.output] is Need.INTEGERS else
            self.needs[node.output] is not Need.REALS and self.result(node.output) in able
            for node in readers)

    def _taken_in(self, name: str) -> Format | None:
        """The format of the integers that layers make of an input of the network; None if none does."""
        layers = [node for node in self.graph.users(name) if self.needs.get(node.output) is Need.INTEGERS]
        return self.activations(layers[0]) if name in self.graph.inputs and layers else None

    # On which grid

    def root(self, value: str) -> str:
        """The value that stands for all that have one grid with this one."""
        return self.roots.get(value, value)

    def _classes(self) -> dict[str, tuple[Format, list[str]]]:
        classes: dict[str, tuple[Format, list[str]]] = {}
        for value, node in self.calling.items():
            need = self.needs[node.output]
            if value in self.on_grid and need in (Need.INTEGERS, Need.OWN):
                classes.setdefault(self.root(value), (self.formats[value], []))[1].append(value)
            if need is Need.INTEGERS and node.inputs[0] not in self.on_grid:
                classes[node.inputs[0]] = self.formats[node.inputs[0]], [node.inputs[0]]
        return classes

    def grids(self, ranges: Mapping[str, tuple[float, float]]) -> dict[str, Grid]:
        """The grid of each value that has one. Raises ValueError for a value whose range is not finite."""
        found = {}
        for root, (form, values) in self.classes.items():
            lows, highs = zip(*map(ranges.__getitem__, values), strict=True)
            found[root] = form.fit(min(lows), max(highs))
        return found | {value: found[root] for value, root in self.roots.items() if root in found}
