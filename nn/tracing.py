"""trace: a model's forward, run and written down as a Graph.

The model runs in evaluation mode at several lengths of each named dimension, and the records are compared
(batch.py): what is the same at all of them holds for any. A forward whose path depends on values cannot be
written down as one list, so it is refused.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np

from .arguments import instance
from .batch import BATCH, merged, refused, rows_stay_apart
from .context import no_grad, within
from .graph import Graph, Node, Value
from .module import Module, in_mode
from .sizes import Size
from .state import plain
from .tensor import Tensor, TraceError

ROWS = 1, 2, 5  # batches that are traced beside the one that is given
SAME = "clone", "detach"  # rules whose output is the value of their input: in a trace, that value itself


def trace(model: Any, *examples: np.ndarray | Tensor,
          dims: Mapping[str, Sequence[str | int | None]] | None = None,
          state: Mapping[str, str] | None = None, **named: np.ndarray | Tensor) -> Graph:
    """Write down what `model` does to its inputs in evaluation mode, as a Graph.

    model: an nn.Module, whose mode is restored afterwards. examples, named: an example of each input, by
        position or by name: Tensors or arrays of any dtype, with any values that forward takes.
    dims: for an input's name, the names of its dimensions from the first on: {"tokens": ("N", "S")}. A length
        that has a name may be another when the graph runs; None, an int or no entry leave it fixed. "N" is
        the batch. An input that is not in dims has the batch as its first dimension, ("N",).
    state: for an output's name, the input that it becomes when the graph runs again, as a cache of keys does.

    A Graph holds for a batch of any size, and each of its rows is computed as if it were alone. What led
    nowhere, to a result that the outputs do not need, is left out.

    Raises TraceError where the path through `forward` depends on values (`if x.sum() > 0`), where what it
    does depends on the size of the batch or another length that has a name, where rows of the batch are mixed
    (`x - x.mean(0)`), where an output does not come from an input, or where the model returns anything but
    Tensors, and tuples, lists and dicts of them. The operation and its module are named. ValueError for
    examples, dims or a state that do not fit, TypeError for what is no Module, and for dims or a state that
    are no dicts.
    """
    if not isinstance(model, Module):
        raise TypeError(f"trace: model must be an nn.Module; got {type(model).__name__}")
    dims = instance("trace", "dims", dims or {}, Mapping, "a dict, input → names")
    state = instance("trace", "state", state or {}, Mapping, "a dict, output → input")
    by_name = dict(zip(_parameters(model, len(examples)), examples, strict=True)) | named
    arrays = {name: np.asarray(plain(x)) for name, x in by_name.items()}
    inputs, points = _inputs(arrays, dims)
    tracers: list[_Tracer] = []
    for point in points:
        try:
            tracer = _Tracer(model)
            tracer.follow(model, _examples(arrays, inputs, point) if tracers else arrays, len(examples))
        except Exception as error:
            if not tracers:
                raise
            here, there = (", ".join(f"{name} = {n}" for name, n in p.items()) for p in (points[0], point))
            why, nodes = f"it takes {here}, but of {there}: {error}", tracers[0].nodes
            if len(tracer.nodes) < len(nodes):
                raise refused(nodes[len(tracer.nodes)], why) from error
            raise TraceError(f"trace: {type(model).__name__}: {why}") from error
        tracers.append(tracer)
    first = tracers[0]
    nodes = merged([(tracer.nodes, tracer.constants) for tracer in tracers], points)
    used = {name for node in nodes for name in node.inputs}
    constants = {name: array for name, array in first.constants.items() if name in used}
    parametrizations = {name: weight.parametrization for name, weight in model.named_parameters()
                        if name in used and weight.parametrization is not None}
    graph = Graph({first.inputs[name]: value for name, value in inputs.items()}, first.outputs, tuple(nodes),
                  constants, parametrizations, dict(state))
    rows_stay_apart(graph)
    for made, taken in graph.state.items():
        if made not in graph.outputs or taken not in graph.inputs:
            raise ValueError(f"trace: state has {made!r}: {taken!r}, wanted an output, of "
                             f"{', '.join(graph.outputs)}, and the input, of {', '.join(graph.inputs)}")
        left, right = graph.value(graph.outputs[made]), graph.value(taken)
        if left != right:
            raise ValueError(f"trace: state: the output {made!r} is {left.dtype} {left.shape}, but the input "
                             f"{taken!r} that it becomes is {right.dtype} {right.shape}")
        if [*graph.state.values()].count(taken) > 1:
            raise ValueError(f"trace: state: {made!r} and another output become the input {taken!r}; wanted "
                             "one")
    return graph


class _Tracer:
    """What the engine reports to while a model is traced (`nn.context`)."""

    def __init__(self, model: Any) -> None:
        self.nodes, self.constants = [], {}
        self.inputs, self.outputs = {}, {}  # parameter of forward, or name of an output: name as a value
        self._paths = {id(module): name for name, module in model.named_modules()}
        self._stack: list[str] = []
        # The name of each Tensor or array, by its id, and itself: it must not be freed while we look at ids.
        self._names: dict[Any, tuple[str, Any]] = {}
        self._taken: set[str] = set()
        self._reached: set[str] = set()  # names of values that come from an input
        for name, one in (*model.named_parameters(), *model.named_buffers()):
            self.constants[self._name(one, name)] = plain(one)

    def follow(self, model: Any, arrays: Mapping[str, np.ndarray], by_position: int) -> None:
        """Run the model on these inputs, the first of them by position, and record what its outputs need."""
        given = {name: Tensor(x) for name, x in arrays.items()}
        self.inputs = {name: self._name(tensor, name) for name, tensor in given.items()}
        self._reached.update(self.inputs.values())
        tensors, named = list(given.values())[:by_position], dict(list(given.items())[by_position:])

        def run() -> Any:
            with within("tracer", self), no_grad(), np.errstate(all="ignore"):
                return model(*tensors, **named)

        out = in_mode(model, False, run)  # around the blocks: it ends those that Ctrl-C leaves open
        for name, tensor in _tensors(out, ""):
            value, _ = self._names.get(id(tensor), (None, None))
            if value not in self._reached:
                which = f" {name!r}" if name else ""
                raise TraceError(f"trace: the model's output{which} does not come from its input through "
                                 "recorded ops (was it computed with NumPy on .data?)")
            self.outputs[name or value] = value
        needed, kept = set(self.outputs.values()), []
        for node in reversed(self.nodes):
            if node.output in needed:
                needed.update(node.inputs)
                kept.append(node)
        self.nodes = kept[::-1]

    def enter(self, module: Any) -> None:
        self._stack.append(self._paths.get(id(module), ""))

    def leave(self) -> None:
        self._stack.pop()

    def record(self, rule: Any, inputs: tuple[Any, ...], attrs: dict[str, Any], out: Tensor) -> None:
        dtypes = [value.dtype for value in inputs if isinstance(value, (Tensor, np.ndarray))]
        names = tuple(self._known(value, dtypes) for value in inputs)
        if rule.name in SAME:
            self._names[id(out)] = names[0], out
            return
        module = self._stack[-1] if self._stack else ""
        output = self._name(out, module or rule.name)
        if self._reached.intersection(names):
            self._reached.add(output)
        attrs = {**_defaults(rule), **attrs}
        self.nodes.append(Node(rule.name, names, output, attrs, out.shape, module, out.dtype))

    def _known(self, value: Any, dtypes: list[np.dtype]) -> str | None:
        """The name of an operand; what no rule made and no module owns is a constant of its own. A number
        takes the dtype of what it meets."""
        if value is None:
            return None
        key, array = id(value), plain(value)
        if not isinstance(array, np.ndarray):
            array = array.item() if isinstance(array, np.generic) else array
            array = np.asarray(array, np.result_type(*dtypes, array))
            key = key, array.dtype
        if key not in self._names:
            self.constants[self._name(value, "constant", key)] = array
        return self._names[key][0]

    def _name(self, value: Any, wanted: str, key: Any = None) -> str:
        name, count = wanted, 1
        while name in self._taken:
            name, count = f"{wanted}_{count}", count + 1
        self._taken.add(name)
        self._names[key or id(value)] = name, value
        return name


def _parameters(model: Module, count: int) -> list[str]:
    """The names of forward's first parameters; of what *args takes, x_0, x_1, …."""
    names = [name for name, one in inspect.signature(model.forward).parameters.items()
             if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return [names[i] if i < len(names) else f"x_{i}" for i in range(count)]


def _inputs(arrays: Mapping[str, np.ndarray], dims: Mapping[str, Any]) -> tuple[dict[str, Value], list[dict]]:
    """The shape and dtype of each input, and the lengths at which the model is to be traced: those of the
    example, others of one dimension, then others of several. More rows and fewer, as any number is right; of
    other lengths shorter ones: a network may have a longest."""
    if not arrays or dims.keys() - arrays.keys():
        raise ValueError(f"trace: the inputs that came are {', '.join(arrays) or 'none'}, wanted at least "
                         f"one, and all that dims names ({', '.join(dims) or 'none'})")
    inputs, lengths = {}, {}
    for name, x in arrays.items():
        if name not in dims and (x.ndim < 2 or x.shape[0] < 1):
            raise ValueError("trace: example needs a batch as its first dimension and at least one more; got "
                             f"shape {x.shape} for {name!r}")
        names = (*dims.get(name, (BATCH,)), *(None,) * x.ndim)
        for size, n in zip(names, x.shape, strict=False):
            if n != (n if size is None else size if isinstance(size, int) else lengths.setdefault(size, n)):
                raise ValueError(f"trace: {name} has shape {x.shape}, but its dimension {size} is "
                                 f"{lengths.get(size, size)} long, by dims or in another input")
        if len(dims.get(name, ())) > x.ndim or not all(s.isidentifier() for s in names if isinstance(s, str)):
            raise ValueError(f"trace: dims has {dims[name]!r} for {name}, wanted names for some of the "
                             f"dimensions of its shape {x.shape}")
        shape = (Size(size) if isinstance(size, str) else n for size, n in zip(names, x.shape, strict=False))
        inputs[name] = Value(tuple(shape), x.dtype)
    others = {name: [m for m in (ROWS if name == BATCH else (n - 1, n // 2) if n > 2 else (n + 1, n + 2))
                     if m != n] for name, n in lengths.items()}
    points = [{**lengths, name: m} for name in lengths for m in others[name]]
    points += [{**lengths, **{name: others[name][-1] for name in several}}
               for k in range(2, len(lengths) + 1) for several in combinations(lengths, k)]
    return inputs, [lengths, *(points or [lengths])]  # with other numbers, if all lengths are fixed


def _examples(arrays, inputs, point: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Inputs of other lengths like those of the example. Floats are other numbers, integers stand in other
    rows, so that a constant that a forward computes from them is another one."""
    rng, made = np.random.default_rng([0, *point.values()]), {}
    for name, x in arrays.items():
        for axis, size in enumerate(inputs[name].shape):
            if isinstance(size, Size):
                x = np.take(x, np.arange(point[size]) % x.shape[axis], axis)
        if x.dtype.kind == "b":
            x = rng.random(x.shape) < 0.5
        elif x.dtype.kind == "f" and np.isfinite(x).all():
            low, high = x.min(initial=0), x.max(initial=1)
            x = (low + (high - low) * rng.random(x.shape)).astype(x.dtype)
        elif x.dtype.kind != "f" and x.ndim:
            x = rng.permuted(x, axis=0)
        made[name] = x
    return made


def _tensors(out: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """The Tensors that a model returned, each with its name."""
    if isinstance(out, Tensor):
        yield name, out
        return
    out, named = out._asdict() if hasattr(out, "_fields") else out, {}
    if isinstance(out, Mapping):
        named = {f"{name}.{key}" if name else str(key): one for key, one in out.items()}
    elif isinstance(out, (tuple, list)):
        named = {f"{name or 'output'}_{i}": one for i, one in enumerate(out)}
    if not named:
        raise TraceError(f"trace: the model must return one Tensor; it returned {type(out).__name__} (a "
                         "tuple, list or dict of Tensors is right too)")
    for key, one in named.items():
        if one is not None:  # as the weights of an attention that were not asked for
            yield from _tensors(one, key)


@cache
def _defaults(rule: Any) -> dict[str, Any]:
    """The attributes of a rule that a call may leave out: who walks over nodes finds all of them."""
    return {name: one.default for name, one in inspect.signature(rule.forward).parameters.items()
            if one.kind is one.KEYWORD_ONLY and one.default is not one.empty}
