"""A network as data: the rule records of one evaluation-mode forward, with the names of their modules.

    graph = nn.trace(model, example)  # nn/tracing.py
    print(graph)

Batch-norm folding, calibration, pricing and drawing are walks over `graph.nodes`; none of them needs to know
how the model's `forward` was written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from .explain.text import short
from .rules import RULES
from .sizes import Size, at, names_in

Shape = tuple[int | Size, ...]


@dataclass(frozen=True)
class Value:
    """What is known of an array before there is one: its shape, of numbers and Sizes, and its dtype."""

    shape: Shape
    dtype: np.dtype

    def __str__(self) -> str:
        return str(self.shape) if self.dtype == np.float32 else f"{self.dtype} {self.shape}"


@dataclass(frozen=True)
class Node:
    """One application of a rule: `output = op(*inputs, **attrs)`.

    `inputs` and `output` are names of values or of constants (an input that was None stays None); `shape` and
    `dtype` are the output's. Lengths in shapes and attributes that move with the batch, or with another named
    dimension, are Sizes. `module` is the dotted path of the module whose forward applied the rule ('' for the
    model).
    """

    op: str
    inputs: tuple[str | None, ...]
    output: str
    attrs: dict[str, Any]
    shape: Shape
    module: str
    dtype: np.dtype

    def __str__(self) -> str:
        attrs = "".join(f", {name}={short(value)}" for name, value in self.attrs.items())
        return f"{self.output} = {self.op}({', '.join(map(str, self.inputs))}{attrs})"


class Signature:
    """Named inputs and outputs: of a Graph, and of what is made of one. inputs: by name what has a shape, of
    numbers and Sizes; outputs: by name the value that each is; name: begins its errors."""

    name = "graph"

    @property
    def input(self) -> str:
        """The name of the only input. Raises ValueError if there are several."""
        return self._only("input", self.inputs)

    @property
    def output(self) -> str:
        """The only value that is an output. Raises ValueError if there are several."""
        return self.outputs[self._only("output", self.outputs)]

    def _only(self, what: str, names: Mapping[str, Any]) -> str:
        if len(names) != 1:
            raise ValueError(f"{self.name}: it has {len(names)} {what}s ({', '.join(names)}), wanted one")
        return next(iter(names))

    def given(self, arrays: tuple, named: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs by name, of those that came in order and by name. Raises TypeError for others."""
        given = dict(zip(self.inputs, arrays, strict=False)) | named
        if given.keys() != self.inputs.keys() or len(arrays) + len(named) != len(self.inputs):
            came = ", ".join([*map(str, range(len(arrays))), *named]) or "nothing"
            raise TypeError(f"{self.name}: wants {', '.join(self.inputs)}; got {came}")
        return given

    def sizes(self, given: Mapping[str, np.ndarray]) -> dict[str, int]:
        """How long each named dimension is in these inputs. Raises ValueError for shapes that do not fit."""
        sizes: dict[str, int] = {}
        for name, value in self.inputs.items():
            have = np.shape(given[name])
            known = "".join(f", {size} being {n}" for size, n in sizes.items() if size in value.shape)
            for n, size in zip(have, value.shape, strict=False):
                if isinstance(size, Size) and size.isidentifier():
                    sizes.setdefault(str(size), n)  # that is met first gets it
            if not names_in(value.shape) <= sizes.keys() or at(value.shape, sizes) != have:
                wanted = ", ".join(map(str, value.shape))
                raise ValueError(f"{self.name}: {name} must have shape ({wanted}){known}; got {have}")
        return sizes


@dataclass(frozen=True, eq=False)
class Graph(Signature):
    """A straight list of nodes from inputs to outputs. It never changes: dataclasses.replace makes another.

    inputs: the name of each parameter of forward that came, and its shape and dtype.
    outputs: the name of each output, and the value it is. If the model returns one Tensor, the output has the
        name of its value; those of a tuple are output_0, output_1, …, those of a dict have its keys.
    constants: parameters and buffers under their state-dict names, and arrays that forward made.
    parametrizations: the name of a parameter and the parametrization attached to it (the graph speaks of a
        weight by its name and never opens its parametrization).
    state: the name of each output that is to be an input when the graph runs again, and of that input.
    """

    inputs: dict[str, Value]
    outputs: dict[str, str]
    nodes: tuple[Node, ...]
    constants: dict[str, np.ndarray]
    parametrizations: dict[str, Any] = field(default_factory=dict)
    state: dict[str, str] = field(default_factory=dict)

    @property
    def input_shape(self) -> Shape:
        """The shape of the only input, batch included."""
        return self.inputs[self.input].shape

    @cached_property
    def _producers(self) -> dict[str, Node]:
        return {node.output: node for node in self.nodes}

    def users(self, value: str) -> list[Node]:
        """The nodes that read a value, in order."""
        return [node for node in self.nodes if value in node.inputs]

    def producer(self, value: str) -> Node | None:
        """The node that makes a value; None for inputs and constants."""
        return self._producers.get(value)

    def value(self, name: str) -> Value:
        """The shape and dtype of an input, a constant or a node's output. KeyError for other names."""
        if name in self.inputs:
            return self.inputs[name]
        made = np.asarray(self.constants[name]) if name in self.constants else self._producers[name]
        return Value(made.shape, made.dtype)

    def run(self, *arrays: np.ndarray, watch: Callable[[str, np.ndarray], None] | None = None,
            **named: np.ndarray) -> np.ndarray | dict[str, np.ndarray]:
        """The output, or a dict of several, of bare arrays in the order of `inputs` or by name.

        watch(name, array) sees every value as it is made. Constants are used as they stand: a weight is its
        float array, whatever parametrization is attached to it. Raises TypeError for an input that is
        missing, ValueError for one whose shape does not fit.
        """
        given = self.given(arrays, named)
        sizes = self.sizes(given)
        values: dict[str | None, Any] = {None: None, **self.constants, **given}
        for name in self.inputs if watch else ():
            watch(name, values[name])
        last_use = {name: i for i, node in enumerate(self.nodes) for name in node.inputs}
        last_use |= dict.fromkeys((None, *self.outputs.values()), len(self.nodes))
        for i, node in enumerate(self.nodes):
            out, _ = RULES[node.op].forward(*(values[name] for name in node.inputs), **at(node.attrs, sizes))
            values[node.output] = out = np.asarray(out)
            if watch:
                watch(node.output, out)
            for name in {*node.inputs}:  # free what nothing later reads
                if last_use[name] == i:
                    del values[name]
        outputs = {name: values[value] for name, value in self.outputs.items()}
        return outputs.popitem()[1] if len(outputs) == 1 else outputs

    def __str__(self) -> str:
        width = max((len(str(node)) for node in self.nodes), default=0)
        inputs = ", ".join(f"{name} {value}" for name, value in self.inputs.items())
        outputs = ", ".join(k if k == v else f"{k} = {v}" for k, v in self.outputs.items())
        lines = [f"graph: {inputs} → {outputs}, {len(self.nodes)} nodes"]
        lines += [f"  {node!s:<{width}}  {Value(node.shape, node.dtype)}" for node in self.nodes]
        lines += [f"  {taken} is {made} of the call before" for made, taken in self.state.items()]
        return "\n".join(lines)
