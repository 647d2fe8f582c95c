"""An Op is one row of the table of what a Program may contain.

    infer(line)    the Value that the line makes of its inputs; ProgramError where they are not sound
    steps(line)    the kernels that compute it, with their operands (Step), the last of which writes its
                   output: asked when the Program is bound
    said(call)     how a student reads its attributes, where that is not as usual

A row enters the table by being defined: a file in ops/ is all that a new one needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from nn.registration import register
from nn.sizes import Size

from ..stored import Stored
from .call import OPS, Call
from .value import LARGEST, Value

INTEGERS = ("uint8", "int8")


@dataclass(frozen=True)
class Step:
    """What one kernel does in a Program that is bound: all of it but the numbers.

    load(constants, grids) makes what it keeps in memory (operands, biases, multipliers) of the constants by
    name and the grid of each value that has one; run(held, out, *inputs) computes with that into the array
    `out`, and where `sized` is told the named lengths too, as dims=. made: the value that it writes.
    in_place: whether it may write where its first input lies. macs: multiply-adds for one example, by which
    those of more go as the numbers that it writes; where they do not, multiplies(lengths) says how many."""

    kernel: str
    inputs: tuple[str, ...]
    output: str
    made: Value
    run: Callable[..., object]
    said: str = ""
    load: Callable[[Mapping[str, Any], Mapping[str, Any]], tuple[Any, ...]] | None = None
    macs: int = 0
    in_place: bool = False
    sized: bool = False
    multiplies: Callable[[Mapping[str, int]], int] | None = None

    def macs_at(self, dims: Mapping[str, int]) -> int:
        """Multiply-adds where the named lengths are these."""
        if self.multiplies is not None:
            return self.multiplies(dims)
        return self.macs * self.made.numbers(dims) // max(self.made.numbers(), 1)

    def __str__(self) -> str:
        return f"{self.output} = {self.kernel}({', '.join(self.inputs)}{self.said})"


class Line:
    """A Call with what its names stand for. inputs: the values that it reads. constants: those there are,
    by name. grid: of its output, where the Program names one. names: of the lengths that may move. made: what
    it makes, once its op has said so. fail(why): the error that names this line. kernels: the names of those
    that its target has; None: all that there are."""

    kernels: frozenset[str] | None = None

    def __init__(self, call: Call, inputs: list[Value], constants: Mapping, grid: Any, names: set) -> None:
        self.call, self.inputs, self.grid, self.names = call, inputs, grid, names
        self.op, self.fail, self.constants = call.row(), call.fail, constants
        self.made: Value | None = None

    def __getitem__(self, attribute: str) -> Any:
        return self.op.of(self.call, attribute)

    def on(self, kernels: frozenset[str]) -> Line:
        """The same line for a target with these kernels."""
        twin = copy(self)
        twin.kernels = kernels
        return twin

    def has(self, kernel: str) -> bool:
        """Whether its target has the kernel of this name."""
        return self.kernels is None or kernel in self.kernels

    def need(self, i: int, *dtypes: str, images: bool = False) -> Value:
        """Input number i. Raises ProgramError unless it has one of these dtypes (if none is named: float32 or
        integers), integers are on a grid, and images (N, H, W, C) have sides that do not move."""
        value, dtypes = self.inputs[i], dtypes or ("float32", *INTEGERS)
        if value.dtype not in dtypes:
            raise self.fail(f"needs {' or '.join(dtypes)}; got {value.dtype}")
        if images and len(value.shape) != 4:
            raise self.fail(f"needs 4 dimensions with the batch; got shape {value.shape}")
        if images and not all(type(side) is int for side in value.shape[1:3]):
            raise self.fail(f"the height and width of images can't move; got {value.shape}")
        if value.dtype in INTEGERS and value.grid is None:
            raise self.fail(f"{self.call.inputs[i]} is on no grid: nothing says what its integers stand for")
        return value

    def value(self, dtype: str, shape: tuple[int | Size, ...], grid: Any = None) -> Value:
        """A Value, after a look at its size."""
        value = Value(dtype, tuple(shape), grid)
        if any(type(size) is int and size < 1 for size in shape) or value.numbers() > LARGEST:
            raise self.fail(f"makes the shape {value.shape}, which is empty or too large")
        return value

    def on_grid(self, shape: tuple[int | Size, ...]) -> Value:
        """The integers of this shape on the line's own grid. Raises ProgramError where it has none."""
        if self.grid is None:
            raise self.fail(f"{self.call.output} has no grid to be on")
        return self.value(np.dtype(self.grid.format.dtype).name, shape, self.grid)

    def vector(self, role: str, size: int, dtype: Any = np.float32) -> np.ndarray | None:
        """The finite vector in this role; None if there is none. Raises ProgramError for another."""
        name = self.call.constants.get(role)
        if name is None:
            return None
        array = self.constants[name]
        if not isinstance(array, np.ndarray) or array.dtype != dtype or array.shape != (size,):
            got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            raise self.fail(f"{name} must be {np.dtype(dtype).name} ({size},); got {got}")
        if not np.isfinite(array).all():
            raise self.fail(f"{name} must be finite")
        return array

    def weight(self) -> Stored:
        """The weight in its stored form. Raises ProgramError for a constant that is none."""
        name = self.call.constants["weight"]
        weight = self.constants[name]
        if not isinstance(weight, Stored):
            raise self.fail(f"{name} must be a weight; got {type(weight).__name__}")
        return weight

    def step(self, kernel: str, run: Callable[..., object], said: str | None = None, **more: Any) -> Step:
        """A Step from its inputs to its output, unless `more` names others, read as the line is."""
        if said is None:
            said = behind(self.op.arguments(self.call)[len(self.call.inputs):])
        usual = {"inputs": self.call.inputs, "output": self.call.output, "made": self.made}
        return Step(kernel, run=run, said=said, **(usual | more))


def behind(words: list[str]) -> str:
    """Words as they stand behind the inputs of a printed line."""
    return "".join(f", {word}" for word in words)


def grids_of(*values: str) -> Callable[[Mapping[str, Any], Mapping[str, Any]], tuple[Any, ...]]:
    """The `load` of a step that keeps the grids of these values, None for one of reals."""
    return lambda constants, grids: tuple(map(grids.get, values))


def _tuple(value: Any, *types: type) -> bool:
    return isinstance(value, tuple) and set(map(type, value)) <= set(types)


def _across(sizes: tuple[int | Size, ...]) -> str:
    return "×".join(map(str, sizes))


def clipped(clip: tuple[float | None, float | None]) -> str:
    """How a clip at the end of a line is read: relu, or its ends."""
    low, high = clip
    if high is None:
        return "relu" if low == 0 else f"at least {low:g}"
    return f"at most {high:g}" if low is None else f"clip {low:g}…{high:g}"


# What an attribute may be, and how a student reads it.
KINDS: dict[str, tuple[Callable[[Any], bool], Callable[[Any], str]]] = {
    "int": (lambda value: type(value) is int, str),
    "flag": (lambda value: isinstance(value, bool), lambda value: ""),  # said where it is not as usual
    "number": (lambda value: type(value) in (int, float) and abs(value) < 1e39, "{:g}".format),
    "text": (lambda value: isinstance(value, str), str),
    "pair": (lambda value: _tuple(value, int) and len(value) == 2, _across),
    "axes": (lambda value: _tuple(value, int), lambda value: " ".join(map(str, value))),
    "shape": (lambda value: _tuple(value, int, Size), _across),
    "clip": (lambda value: _tuple(value, int, float, type(None)) and len(value) == 2
             and value != (None, None) and all(abs(end or 0) < 1e39 for end in value), clipped)}

# Each attribute: its kind, and the word before it.
ATTRIBUTES = {"kernel": ("pair", ""), "stride": ("pair", "stride "), "dilation": ("pair", "dilation "),
              "padding": ("pair", "padded "), "groups": ("int", "groups "), "algorithm": ("text", "by "),
              "axis": ("int", "axis "), "axes": ("axes", ""), "shape": ("shape", ""), "clip": ("clip", ""),
              "rounding": ("text", ""), "activations": ("text", "activations "),
              "causal": ("flag", "causal"), "scale": ("number", "scale ")}


class Op:
    """A row of the table; each row is the one object of its class.

    name: in a Program; "" of a base of others. arity: how many values it reads, None for any number. roles:
    the constants that it reads, and whether it must have each; those of the base if none are named.
    attributes: what each is where a call does not say, in the order in which they are read. TypeError if
    another row has the name."""

    roles: dict[str, bool] = {}
    attributes: dict[str, Any] = {}

    def __init_subclass__(cls, name: str = "", arity: int | None = 1, roles: dict[str, bool] | None = None,
                          **attributes: Any) -> None:
        cls.name, cls.arity, cls.roles = name, arity, roles or cls.roles
        cls.attributes = cls.attributes | attributes
        if name:
            register(OPS, name, cls(), "the op")

    def wrong(self, call: Call) -> str:
        """What a call has that this op does not take, or lacks; "" where it is sound."""
        if self.arity not in (None, len(call.inputs)):
            return f"takes {self.arity} inputs"
        for name, value in call.attributes.items():
            if name not in self.attributes:
                return f"has no attribute {name}"
            kind, _ = ATTRIBUTES[name]
            if not KINDS[kind][0](value):
                return f"{name} must be of the kind {kind}; got {value!r:.80}"
        missing = [role for role, needed in self.roles.items() if needed and role not in call.constants]
        if missing or not call.constants.keys() <= self.roles.keys():
            return f"takes the constants {', '.join(self.roles)}; got {', '.join(call.constants)}"
        return ""

    def arguments(self, call: Call) -> list[str]:
        """What stands between the parentheses of the printed line; of one that is wrong, all as it came."""
        as_came = [f"{name}={value!r:.40}" for name, value in call.attributes.items()]
        return [*call.inputs, *call.constants.values(), *(as_came if self.wrong(call) else self.said(call))]

    def said(self, call: Call, *names: str) -> list[str]:
        """How its attributes, or those of these names, are read; those that are as usual are left out."""
        values = {name: self.of(call, name) for name in names or self.attributes}
        return [ATTRIBUTES[name][1] + KINDS[ATTRIBUTES[name][0]][1](value) for name, value in values.items()
                if value != self.attributes[name]]

    def of(self, call: Call, name: str) -> Any:
        """An attribute of a call, or its default."""
        return call.attributes.get(name, self.attributes[name])
