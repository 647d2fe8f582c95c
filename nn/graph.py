"""A network as data: the rule records of one evaluation-mode forward, with the names of their modules.

    graph = nn.trace(model, example)
    print(graph)

Batch-norm folding, calibration, pricing and drawing are walks over `graph.nodes`; none of them needs to
know how the model's `forward` was written. A forward whose path depends on values cannot be written down
as one list, so it is refused (`nn.TraceError`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from .batch import SIZES, batched, refused, rows_stay_apart
from .context import no_grad, within
from .modes import in_mode
from .module import Module
from .rules import RULES
from .tensor import Tensor, TraceError

__all__ = ["Graph", "Node", "trace"]

SAME = ("clone", "detach")  # rules whose output is the value of their input: in a trace, that value itself


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

    `constants` maps a name to its array: parameters and buffers under their state-dict names.
    `parametrizations` maps the name of a parameter to the parametrization attached to it (the graph speaks of
    a weight by its name and never opens its parametrization). input_shape: of the example, batch included.
    """

    input: str
    output: str
    input_shape: tuple[int, ...]
    nodes: list[Node]
    constants: dict[str, np.ndarray]
    parametrizations: dict[str, Any] = field(default_factory=dict)

    def users(self, value: str) -> list[Node]:
        """The nodes that read a value, in order."""
        return [node for node in self.nodes if value in node.inputs]

    def producer(self, value: str) -> Node | None:
        """The node that makes a value; None for the input and the constants."""
        return next((node for node in self.nodes if node.output == value), None)

    def run(self, x: np.ndarray, watch: Callable[[str, np.ndarray], None] | None = None) -> np.ndarray:
        """Evaluate the graph on bare arrays; `watch(name, array)` sees every value as it is made.

        x has the example's shape but for the batch, its first dimension. Constants are used as they stand: a
        weight is its float array, whatever parametrization is attached to it.
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
    """What the engine reports to while a model is traced (`nn.context`)."""

    def __init__(self, model: Any) -> None:
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}
        self.parametrizations: dict[str, Any] = {}
        self._paths = {id(module): name for name, module in model.named_modules()}
        self._stack: list[str] = []
        self._names: dict[int, str] = {}  # id of a Tensor or array -> its name
        self._made: set[str] = set()  # names of values; all others are constants
        self._alive: list[Any] = []  # what ids refer to must not be freed while we look at them
        self._taken: set[str] = set()
        for name, parameter in model.named_parameters():
            self._name(parameter, name)
            if getattr(parameter, "parametrization", None) is not None:
                self.parametrizations[name] = parameter.parametrization
        for name, buffer in model.named_buffers():
            self._name(buffer, name)

    def follow(self, model: Any, x: np.ndarray) -> tuple[str, str]:
        """Run the model on x and record it; returns the names of its input and its output."""
        given = Tensor(x)
        name = self._name(given, "x")
        self._made.add(name)
        out = in_mode(model, False, _listened_to, self, model, given)
        if not isinstance(out, Tensor):
            raise TraceError(f"trace: the model must return one Tensor; it returned {type(out).__name__}")
        result = self._names.get(id(out))
        if result not in _reachable(self.nodes, name):
            raise TraceError(
                "trace: the model's output does not come from its input through recorded ops "
                "(was it computed with NumPy on .data?)"
            )
        return name, result

    def enter(self, module: Any) -> None:
        self._stack.append(self._paths.get(id(module), ""))

    def leave(self) -> None:
        self._stack.pop()

    def record(self, rule: Any, inputs: tuple[Any, ...], attrs: dict[str, Any], out: Tensor) -> None:
        names = tuple(self._known(value) for value in inputs)
        if rule.name in SAME:
            self._names[id(out)] = names[0]
            self._alive.append(out)
            return
        module = self._stack[-1] if self._stack else ""
        output = self._name(out, module or rule.name)
        self._made.add(output)
        attrs = {**_defaults(rule), **attrs}
        self.nodes.append(Node(rule.name, names, output, attrs, out.shape, module))

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

    A Graph holds for a batch of any size, and each of its rows is computed as if it were alone. So the model
    is traced with batches of other sizes too (batch.py), and the records compared. What led nowhere, to a
    result that the output does not need, is left out.

    Raises TraceError where the path through `forward` depends on values (`if x.sum() > 0`) or on the size of
    the batch, where rows of the batch are mixed (`x - x.mean(0)`), where the output does not come from the
    input, or where the model returns anything but one Tensor. The operation and its module are named.
    """
    if not isinstance(model, Module):
        raise TypeError(f"trace: model must be an nn.Module; got {type(model).__name__}")
    example = example.data if isinstance(example, Tensor) else np.asarray(example)
    if example.ndim < 2 or example.shape[0] < 1:
        shape = example.shape
        raise ValueError(
            f"trace: example needs a batch as its first dimension and at least one more; got shape {shape}"
        )
    first = _Tracer(model)
    name, result = first.follow(model, example)
    records = {len(example): (_needed(first.nodes, result), first.constants)}
    for n in SIZES:
        if n not in records:
            records[n] = _again(model, _other_rows(example, n), first, len(example))
    nodes, axes = batched(records, name, example.ndim)
    if axes.get(result) != (0, 1):
        shape = next(node.shape for node in nodes if node.output == result)
        raise refused(nodes[-1], f"the output must be (N, …); it is {shape} for {len(example)} rows")
    used = {name for node in nodes for name in node.inputs}
    constants = {name: array for name, array in first.constants.items() if name in used}
    parametrizations = {
        name: parametrization for name, parametrization in first.parametrizations.items() if name in used
    }
    graph = Graph(name, result, example.shape, nodes, constants, parametrizations)
    rows_stay_apart(graph, axes, example)
    return graph


def _other_rows(example: np.ndarray, n: int) -> np.ndarray:
    """So many rows like those of the example; of other numbers, if they are floats: a constant that a forward
    computes from them is then another one.
    """
    rows = example[np.arange(n) % len(example)]
    if rows.dtype.kind != "f" or not np.isfinite(rows).all():
        return rows
    low, high = rows.min(initial=0), rows.max(initial=1)
    return (low + (high - low) * np.random.default_rng(n).random(rows.shape)).astype(rows.dtype)


def _again(model: Module, x: np.ndarray, first: _Tracer, rows: int) -> tuple[list[Node], dict[str, Any]]:
    """The record of a batch of another size than `rows`."""
    tracer = _Tracer(model)
    try:
        _, result = tracer.follow(model, x)
    except Exception as error:
        why = f"it takes {rows} rows, but of {len(x)}: {error}"
        if len(tracer.nodes) < len(first.nodes):
            raise refused(first.nodes[len(tracer.nodes)], why) from error
        raise TraceError(f"trace: {type(model).__name__}: {why}") from error
    return _needed(tracer.nodes, result), tracer.constants


def _needed(nodes: list[Node], result: str) -> list[Node]:
    """The nodes that the result depends on."""
    needed, kept = {result}, []
    for node in reversed(nodes):
        if node.output in needed:
            needed.update(node.inputs)
            kept.append(node)
    return kept[::-1]


def _reachable(nodes: list[Node], start: str) -> set[str]:
    reached = {start}
    for node in nodes:
        if reached.intersection(node.inputs):
            reached.add(node.output)
    return reached


@cache
def _defaults(rule: Any) -> dict[str, Any]:
    """The attributes of a rule that a call may leave out: who walks over nodes finds all of them."""
    named = inspect.signature(rule.forward).parameters.items()
    return {name: one.default for name, one in named
            if one.kind is one.KEYWORD_ONLY and one.default is not one.empty}


def _listened_to(tracer: _Tracer, model: Any, x: Tensor) -> Tensor:
    with within("tracer", tracer), no_grad(), np.errstate(all="ignore"):
        return model(x)


def _batched(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join(["N", *map(str, shape[1:])]) + ")"


def _short(value: Any) -> str:
    return f"array{value.shape}" if isinstance(value, np.ndarray) else repr(value)
