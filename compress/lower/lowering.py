"""The walk that lowers a network to the calls of a Program, node by node.

A value has a logical shape, that of the Graph, and lies in places: as reals and as integers, with its axes in
one order or another. Who reads it says what it wants; a quantize, dequantize or permute makes that, once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nn.graph import Graph, Node

from ..formats.dynamic import is_dynamic
from ..program.call import OPS, Call
from ..program.program import Constant, Program
from ..program.value import Value
from .fold import WEIGHTED, Folding
from .known import Known
from .numbers import Numbers
from .table import CHANNELS_LAST, TABLE, Layout, Need, identity, moves_nothing

Maker = Callable[[Numbers], Constant]


@dataclass(frozen=True)
class Place:
    """Where a value lies: its name in the Program, and its layout there."""

    name: str
    layout: Layout

    def logical(self, array: np.ndarray) -> np.ndarray:
        """The array with its axes as the Graph has them."""
        return array.transpose(*map(self.layout.index, identity(len(self.layout))))


class Lowered:
    """A network that is lowered: calls without numbers, and where those come from. A row of the table tells
    it how a node is computed.

    known: its structure. reals, integers: where each value lies, if it lies anywhere as such. makers: what
    each constant is. grids: the value of the Graph on whose grid a value of the Program is chosen to be.
    biases: the root of the grid that its layer reads, of each integer bias."""

    def __init__(self, graph: Graph, name: str, algorithm: str) -> None:
        self.known = Known(Folding.of(graph), graph.parametrizations)
        self.graph, self.name, self.algorithm = self.known.graph, name, algorithm
        self.inputs = {given: Value(value.dtype.name, value.shape) for given, value in graph.inputs.items()}
        self.outputs: dict[str, str] = {}
        self.calls: list[Call] = []
        self.makers: dict[str, Maker] = {}
        self.grids: dict[str, str] = {}
        self.reals = {given: Place(given, identity(len(value.shape))) for given, value in self.inputs.items()}
        self.integers: dict[str, Place] = {}
        self.biases: dict[str, str] = {}
        self._taken = {*self.inputs, *(node.output for node in self.graph.nodes)}
        self._turned: dict[tuple[str, Layout], str] = {}  # name and an order → name of that in this order
        self._shapes = {given: value.shape for given, value in self.inputs.items()}

    def program(self, numbers: Numbers) -> Program:
        """The Program with these numbers, which shares no memory with the network."""
        made, grids = self.made(numbers)
        constants = {name: one.copy() if isinstance(one, np.ndarray) else one for name, one in made.items()}
        return Program(self.name, self.inputs, self.outputs, self.calls, constants, grids, self.graph.state)

    def made(self, numbers: Numbers) -> tuple[dict[str, Constant], dict[str, Any]]:
        """The constants and the grids of its Program, by name."""
        return ({name: make(numbers) for name, make in self.makers.items()},
                {name: numbers.grids[value] for name, value in self.grids.items()})

    # Values

    def shape(self, value: str) -> tuple:
        """The logical shape of a value."""
        return self.graph.value(value).shape

    def layout(self, value: str, integers: bool = False) -> Layout:
        """The order of axes in which a value lies now, or would without anybody's wish."""
        places, others = (self.integers, self.reals) if integers else (self.reals, self.integers)
        return (places.get(value) or others[value]).layout

    def read(self, value: str, layout: Layout, integers: bool = False) -> str:
        """The name under which a value lies as reals, or as integers, with its axes in this order."""
        places = self.integers if integers else self.reals
        if value not in places:
            source = self.read(value, layout, not integers)
            name = self.fresh(f"{value}.u8" if integers else f"{value}.f32")
            self.call("quantize" if integers else "dequantize", (source,), name, self._shapes[source])
            if integers:
                self.grids[name] = value
            places[value] = Place(name, layout)
        place = places[value]
        if place.layout == layout:
            return place.name
        axes = tuple(place.layout.index(axis) for axis in layout)
        key = place.name, axes  # not the layout: a permuted value lies where the one before it lies
        if key not in self._turned:
            before = self._shapes[place.name]
            shape = tuple(before[axis] for axis in axes)
            op, how = "permute", {"axes": axes}
            if moves_nothing(before, axes):
                op, how = "reshape", {"shape": shape}
            name = self.fresh(f"{place.name}.{'nhwc' if layout == CHANNELS_LAST else 'turned'}")
            self._turned[key] = self.call(op, (place.name,), name, shape, **how)
        return self._turned[key]

    def arguments(self, node: Node, layout: Layout | None = None) -> tuple[tuple[str, ...], Layout]:
        """The values that a node reads, as integers or reals, and their layout: this one, or the first's."""
        names, integers = self.known.reads(node), node.output in self.known.integer
        layout = self.layout(names[0], integers) if layout is None else layout
        return tuple(self.read(name, layout, integers) for name in names), layout

    def place(self, node: Node, name: str, layout: Layout) -> None:
        """Note where the result of a node lies."""
        value = self.known.result(node.output)
        places = self.integers if value in self.known.on_grid else self.reals
        places[value] = Place(name, layout)
        if places is self.integers and self.known.needs[node.output] is not Need.SAME:
            self.grids[name] = value  # which its call chose

    def write(self, op: str, node: Node, inputs: Sequence[str], layout: Layout,
              constants: dict[str, str] | None = None, **attributes: Any) -> None:
        """The call that makes the result of a node, with its axes in this order, and a clip fused with it."""
        value = self.known.result(node.output)
        attributes |= {"clip": self.known.clips[value]} if value in self.known.clips else {}
        shape = tuple(self.shape(value)[axis] for axis in layout)
        self.place(node, self.call(op, inputs, value, shape, constants, **attributes), layout)

    # Calls and constants

    def call(self, op: str, inputs: Sequence[str], output: str, made: tuple,
             constants: dict[str, str] | None = None, **attributes: Any) -> str:
        """Append a call that makes a value of the shape `made`; an attribute that is as usual goes unsaid."""
        usual = OPS[op.partition(": ")[0]].attributes
        said = {name: one for name, one in attributes.items() if name not in usual or one != usual[name]}
        self.calls.append(Call(op, tuple(inputs), output, constants or {}, said))
        self._shapes[output] = made
        return output

    def constant(self, name: str, make: Maker) -> str:
        """The name of a constant that `make` takes from the Numbers; a name stands for one constant."""
        self.makers.setdefault(name, make)
        return name

    def fresh(self, name: str) -> str:
        """A name for a value that the graph does not have, even if one of its modules is called so."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name


def lowered(graph: Graph, name: str, algorithm: str = "auto", integer: bool = False) -> Lowered:
    """Lower a traced graph, as the chains in `graph.parametrizations` say.

    name: of the Program. algorithm: of float convolutions. integer: whether to raise ValueError, with its
    name, for an operation that would leave integers; one that only moves reals does not."""
    lower = Lowered(graph, name, algorithm)
    known = lower.known
    reals = [node for node in known.calling.values() if node.output not in known.integer
             and node.op not in ("reshape", "permute", "cat", "index")]
    if integer and reals:  # the cause first: one without an integer form
        node = min(reals, key=lambda node: known.needs[node.output] is not Need.REALS)
        where = f" in module {node.module!r}" if node.module else ""
        why = ("it has no integer form" if known.needs[node.output] is Need.REALS
               else "what it reads, or what reads it, has no integer form")
        why = "it reads reals" if is_dynamic(known.activations(node)) else why
        raise ValueError(f"convert: {node.op}{where}: {why}, and integer=True was asked for; "
                         f"{_instead(node, known)}")
    for node in known.calling.values():
        known.row(node).emit(node, lower)
    for output, value in known.graph.outputs.items():
        lower.outputs[output] = lower.read(value, identity(len(lower.shape(value))))
    return lower


def _instead(node: Node, known: Known) -> str:
    """What to do about a node that would leave integers."""
    if is_dynamic(known.activations(node)):
        return (f"{known.activations(node)} is made of reals inside of the call; take activations of another "
                "format, or leave integer=True away")
    if node.output in known.folding.layers:
        return "give its weight Quantize() in the recipe of prepare, or leave integer=True away"
    if known.needs[node.output] is not Need.REALS:
        return "put it between layers under Quantize(), or leave integer=True away"
    if node.op == "batch_norm_eval":
        return "put it right behind a convolution or linear layer, which takes it in"
    forms = sorted(op for op, row in TABLE.items() if row.need is not Need.REALS) + sorted(WEIGHTED)
    return (f"on integers there are {', '.join(forms)}, around layers under Quantize(): take one of them, or "
            "leave integer=True away, and it runs on reals")


def program_of(graph: Graph, name: str, ranges: Callable[[Numbers], Mapping | None], algorithm: str = "auto",
               integer: bool = False) -> Program:
    """The Program of a traced graph, each weight in the stored form of its chain.

    ranges: gives those of the activations, of the Numbers; asked when everything else is known to be sound.
    name, algorithm, integer: see `lowered`. Raises ValueError where a weight of a layer is not float32, a
    parameter or buffer is not finite, before or after norms are folded in, and as the lowering does."""
    for node in graph.nodes:  # a layer in float16 casts its weight
        w = node.inputs[1] if node.op in WEIGHTED else node.inputs[0] if node.op == "cast" else None
        if w in graph.constants:
            check_float32(graph.constants[w], w, "convert")
    low = lowered(graph, name, algorithm, integer)
    numbers = Numbers(low.known, graph.constants, graph.parametrizations)
    for folded, why in ((False, "holds NaN or infinity"),
                        (True, "leaves float32 when the batch norm after it is folded into it")):
        found = numbers.infinite(folded)
        if found is not None:
            raise ValueError(f"convert: {found} {why}")
    numbers.ranges = ranges(numbers)
    return low.program(numbers)


def check_float32(w: np.ndarray, name: str, who: str) -> None:
    """Raise ValueError unless a weight is float32, as all reals of a Program are."""
    if w.dtype != np.float32 and w.dtype.kind == "f":
        raise ValueError(f"{who}: {name} is {w.dtype}, and a Program computes in float32; make the model "
                         "float32 first: model.to(np.float32)")
