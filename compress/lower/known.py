"""What is known of a network before it is lowered: which values are constant, and which integers are on which
grid.

All grids are solved first. A value stays on integers if what makes it can make integers and all that read it
can take them. Values that must have one grid (the inputs and the result of a concatenation, of a pool) are
united.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from nn.graph import Node
from nn.sizes import names_in

from ..formats.format import Format, Grid
from .fold import Folding
from .table import TABLE, Need

__all__ = ["Known"]


class Known:
    """The structure of a folded network. chains: the names of weights and the chains that they are seen
    through.

    static: values that no input goes into. moving: nodes with attributes that depend on named lengths. after:
    the result of a node that computes a clip too, by the node's own output; clips: the ends of that clip.
    integer: outputs of the nodes that compute on integers. on_grid: values that are integers.
    """

    def __init__(self, folding: Folding, chains: Mapping[str, Any], fallback: Any) -> None:
        self.folding, self.graph, self.chains, self.fallback = folding, folding.graph, chains, fallback
        self.moving = {node.output for node in self.graph.nodes if names_in(node.attrs)}
        self.static = set(self.graph.constants) | {layer.bias for layer in folding.layers.values()}
        for node in self.graph.nodes:
            still = node.output not in self.moving and not names_in(node.shape)
            if still and all(name is None or name in self.static for name in node.inputs):
                self.static.add(node.output)
        self.after: dict[str, str] = {}
        self.clips: dict[str, tuple[float | None, float | None]] = {}
        for node in self.nodes():
            if self.row(node).fuses:
                self._fuse(node)
        self.needs = {node.output: self.row(node).formats(node, self) for node in self.nodes()
                      if node.output not in self.clips}
        self.formats = self._formats()
        self.on_grid = self._staying()
        self.integer = {output for output, need in self.needs.items() if need is Need.INTEGERS or (
            need is not Need.REALS and self.result(output) in self.on_grid)}
        self.roots: dict[str, str] = {}
        for node in self.nodes():
            if self.needs.get(node.output) is Need.SAME and node.output in self.integer:
                for name in self.reads(node):
                    self.roots[self._root(name)] = self._root(self.result(node.output))
        self.roots = {value: self._root(value) for value in self.roots}
        self.classes = self._classes()
        self.biases: dict[str, list[tuple[str, str]]] = {}
        for node in self.nodes():
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

    def row(self, node: Node) -> Any:
        """How a node is lowered: the row of its op, if that takes it."""
        row = TABLE.get(node.op, self.fallback)
        return row if row.takes(node, self) else self.fallback

    def result(self, output: str) -> str:
        """The value that the calls of a node leave: its output, or that of the clip that they compute."""
        return self.after.get(output, output)

    def rank(self, value: str) -> int:
        """The number of dimensions of a value."""
        return len(self.graph.value(value).shape)

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
        if node.op != "clamp" or node.dtype != np.float32:
            return None
        ends = [None if name is None else self.graph.constants.get(name) for name in node.inputs[1:]]
        if any(name is not None and (end is None or end.size != 1) for name, end in
               zip(node.inputs[1:], ends, strict=True)):
            return None
        low, high = (None if end is None else float(np.float32(end.item())) for end in ends)
        return low, high

    def _fuse(self, node: Node) -> None:
        readers = self.graph.users(node.output)
        alone = len(readers) == 1 and node.output not in self.graph.outputs.values()
        if alone and readers[0].inputs[0] == node.output:
            ends = self.ends(readers[0])
            if ends is not None:
                self.after[node.output] = readers[0].output
                self.clips[readers[0].output] = ends

    # Which values are integers

    def _formats(self) -> dict[str, Format]:
        """The format that a layer wants of the integers of a value that it reads, or that is made of it."""
        formats: dict[str, Format] = {}
        for node in reversed(self.nodes()):
            need, result = self.needs.get(node.output, Need.REALS), self.result(node.output)
            wanted = self.activations(node) if need is Need.INTEGERS else formats.get(result)
            if wanted is not None and need is not Need.REALS:
                for name in node.inputs[:1] if need is Need.INTEGERS else node.inputs:
                    formats.setdefault(name, wanted)
        return formats

    def _staying(self) -> set[str]:
        """The values that are integers between their maker and all their readers: the greatest set that holds
        together.
        """
        able: set[str] = set()
        for node in self.nodes():
            need = self.needs.get(node.output, Need.REALS)
            if need is Need.INTEGERS or (need is not Need.REALS and set(self.reads(node)) <= able):
                able.add(self.result(node.output))
        able -= set(self.graph.outputs.values())
        makers = {self.result(node.output): node for node in self.nodes() if node.output not in self.clips}
        while True:
            kept = {value for value in able if self._made(makers[value], able) and self._read(value, able)}
            if kept == able:
                return able
            able = kept

    def _made(self, node: Node, able: set[str]) -> bool:
        """Whether the node can make integers: it wants some, or all its inputs are."""
        return self.needs[node.output] is Need.INTEGERS or set(self.reads(node)) <= able

    def _read(self, value: str, able: set[str]) -> bool:
        """Whether all that read a value take its integers, in one format: it never becomes real."""
        readers = [node for node in self.graph.users(value) if node.output not in self.clips]
        return bool(readers) and all(
            self.formats[value] == self.activations(node) if self.needs[node.output] is Need.INTEGERS else
            self.needs[node.output] is not Need.REALS and self.result(node.output) in able
            for node in readers)

    # On which grid

    def root(self, value: str) -> str:
        """The value that stands for all that have one grid with this one."""
        return self.roots.get(value, value)

    def _root(self, value: str) -> str:
        while self.roots.get(value, value) != value:
            value = self.roots[value]
        return value

    def _classes(self) -> dict[str, tuple[Format, list[str]]]:
        """For the root of every value read on a grid: its format, and the values whose ranges it takes."""
        classes: dict[str, tuple[Format, list[str]]] = {}
        for node in self.nodes():
            value, need = self.result(node.output), self.needs.get(node.output)
            if value in self.on_grid and need in (Need.INTEGERS, Need.OWN):
                classes.setdefault(self.root(value), (self.formats[value], []))[1].append(value)
            if need is Need.INTEGERS and node.inputs[0] not in self.on_grid:
                classes[node.inputs[0]] = self.formats[node.inputs[0]], [node.inputs[0]]
        return classes

    def grids(self, ranges: Mapping[str, tuple[float, float]]) -> dict[str, Grid]:
        """The grid of each value that has one. Raises ValueError for a value whose range is not finite."""
        found = {}
        for root, (form, values) in self.classes.items():
            low, high = ranges[values[0]]
            for value in values[1:]:
                low, high = min(low, ranges[value][0]), max(high, ranges[value][1])
            found[root] = form.fit(low, high)
        return found | {value: found[root] for value, root in self.roots.items() if root in found}
