"""A network as data: the rule records of one evaluation-mode forward, with the names of their modules.

    graph = nn.trace(model, example)
    print(graph)

Batch-norm folding, calibration, pricing and drawing are walks over `graph.nodes`; none of them needs to
know how the model's `forward` was written. A forward whose path depends on values cannot be written down
as one list, so it is refused (`nn.TraceError`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import tensor as engine
from .mode import no_grad
from .module import Module
from .rules import RULES
from .tensor import Tensor, TraceError

__all__ = ["Graph", "Node", "trace"]


@dataclass(frozen=True)
class Node:
    """One application of a rule: `output = op(*inputs, **attrs)`.

    `inputs` and `output` are names of values or of constants (an input that was None stays None); `shape` is
    the output's shape for the example; `module` is the dotted path of the module whose forward applied the
    rule ('' for the model).
    """

    op: str
    inputs: tuple[str | None, ...]
    output: str
    attrs: dict[str, Any]
    shape: tuple[int, ...]
    module: str

    def __str__(self) -> str:
        attrs = "".join(f", {name}={_short(value)}" for name, value in self.attrs.items())
        return f"{self.output} = {self.op}({', '.join(map(str, self.inputs))}{attrs})"


@dataclass
class Graph:
    """A straight list of nodes from `input` to `output`.

    `constants` maps a name to its array: parameters and buffers under their state-dict names. `views`
    maps the name of a parameter to the view attached to it (the graph speaks of a weight by its name and
    never opens its view).
    input_shape: of the example, batch included.
    """

    input: str
    output: str
    input_shape: tuple[int, ...]
    nodes: list[Node]
    constants: dict[str, np.ndarray]
    views: dict[str, Any] = field(default_factory=dict)

    def users(self, value: str) -> list[Node]:
        """The nodes that read a value, in order."""
        return [node for node in self.nodes if value in node.inputs]

    def producer(self, value: str) -> Node | None:
        """The node that makes a value; None for the input and the constants."""
        return next((node for node in self.nodes if node.output == value), None)

    def run(self, x: np.ndarray, watch: Callable[[str, np.ndarray], None] | None = None) -> np.ndarray:
        """Evaluate the graph on bare arrays; `watch(name, array)` sees every value as it is made.

        x has the example's shape but for the batch, its first dimension. Constants are used as they stand: a
        weight is its float array, whatever view is attached to it.
        """
        values: dict[str | None, np.ndarray | None] = {None: None, **self.constants, self.input: x}
        if watch:
            watch(self.input, x)
        last_use = {name: i for i, node in enumerate(self.nodes) for name in node.inputs}
        for i, node in enumerate(self.nodes):
            out, _ = RULES[node.op].forward(*(values[name] for name in node.inputs), **node.attrs)
            values[node.output] = out
            if watch:
                watch(node.output, out)
            for name in node.inputs:  # free what nothing later reads
                if last_use[name] == i and name not in (None, self.output):
                    values.pop(name, None)
        return values[self.output]

    def __str__(self) -> str:
        width = max((len(str(node)) for node in self.nodes), default=0)
        lines = [f"graph: {self.input} {_batched(self.input_shape)} → {self.output}, {len(self.nodes)} nodes"]
        lines += [f"  {node!s:<{width}}  {_batched(node.shape)}" for node in self.nodes]
        return "\n".join(lines)


class _Tracer:
    """What the engine reports to while a model is traced (`nn.tensor.tracer`)."""

    def __init__(self, model: Any) -> None:
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}
        self.views: dict[str, Any] = {}
        self._paths = {id(module): name for name, module in model.named_modules()}
        self._stack: list[str] = []
        self._names: dict[int, str] = {}  # id of a Tensor or array -> its name
        self._made: set[str] = set()  # names of values; all others are constants
        self._alive: list[Any] = []  # what ids refer to must not be freed while we look at them
        self._taken: set[str] = set()
        for name, parameter in model.named_parameters():
            self._name(parameter, name)
            if getattr(parameter, "view", None) is not None:
                self.views[name] = parameter.view
        for name, buffer in model.named_buffers():
            self._name(buffer, name)

    def enter(self, module: Any) -> None:
        self._stack.append(self._paths.get(id(module), ""))

    def leave(self) -> None:
        self._stack.pop()

    def record(self, rule: Any, inputs: tuple[Any, ...], attrs: dict[str, Any], out: Tensor) -> None:
        names = tuple(self._known(value) for value in inputs)
        if rule.name == "reshape" and names[0] in self._made and out.shape[0] == inputs[0].shape[0]:
            attrs = {"shape": (-1, *out.shape[1:])}  # of each example by itself: for a batch of any size
        module = self._stack[-1] if self._stack else ""
        output = self._name(out, module or rule.name)
        self._made.add(output)
        self.nodes.append(Node(rule.name, names, output, dict(attrs), out.shape, module))

    def _known(self, value: Any) -> str | None:
        """The name of an operand; what no rule made and no module owns is a constant of its own."""
        if value is None:
            return None
        name = self._names.get(id(value)) or self._name(value, "constant")
        if name not in self._made:
            self.constants[name] = value.data if isinstance(value, Tensor) else np.asarray(value)
        return name

    def _name(self, value: Any, wanted: str) -> str:
        name, count = wanted, 1
        while name in self._taken:
            name, count = f"{wanted}_{count}", count + 1
        self._taken.add(name)
        self._names[id(value)] = name
        self._alive.append(value)
        return name


def trace(model: Any, example: np.ndarray | Tensor) -> Graph:
    """Write down what `model` does to `example` in evaluation mode, as a Graph.

    Parameters: `model`, an nn.Module; `example`, an input with a batch as its first dimension (its values do
    not matter, its shape and dtype do). The model's mode is restored afterwards.

    Raises TraceError where the path through `forward` depends on values (`if x.sum() > 0`), where the
    output does not come from the input, or where the model returns anything but one Tensor.
    """
    if not isinstance(model, Module):
        raise TypeError(f"trace: model must be an nn.Module; got {type(model).__name__}")
    x = Tensor(example.data if isinstance(example, Tensor) else np.asarray(example))
    if x.ndim < 2 or x.shape[0] < 1:
        raise ValueError(
            f"trace: example needs a batch as its first dimension and at least one more; got shape {x.shape}"
        )
    tracer = _Tracer(model)
    name = tracer._name(x, "x")
    tracer._made.add(name)
    with _evaluation(model), _listening(tracer), no_grad(), np.errstate(all="ignore"):
        out = model(x)
    if not isinstance(out, Tensor):
        raise TraceError(f"trace: the model must return one Tensor; it returned {type(out).__name__}")
    nodes = tracer.nodes
    result = tracer._names.get(id(out))
    if result not in _reachable(nodes, name):
        raise TraceError(
            "trace: the model's output does not come from its input through recorded ops "
            "(was it computed with NumPy on .data?)"
        )
    return Graph(name, result, x.shape, nodes, tracer.constants, tracer.views)


def _reachable(nodes: list[Node], start: str) -> set[str]:
    reached = {start}
    for node in nodes:
        if reached.intersection(node.inputs):
            reached.add(node.output)
    return reached


@contextmanager
def _evaluation(model: Any) -> Iterator[None]:
    modes = [(module, module.training) for _, module in model.named_modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def _listening(tracer: _Tracer) -> Iterator[None]:
    before, engine.tracer = engine.tracer, tracer
    try:
        yield
    finally:
        engine.tracer = before


def _batched(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join(["N", *map(str, shape[1:])]) + ")"


def _short(value: Any) -> str:
    return f"array{value.shape}" if isinstance(value, np.ndarray) else repr(value)
