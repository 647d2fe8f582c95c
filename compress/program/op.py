"""An Op is one row of the table of what a Program may contain.

    infer      what the line makes of its inputs, and so whether it is sound
    steps      which kernels compute it, with their operands (Step): asked when the Program is bound
    macs       its multiply-adds for one example
    arguments  how a student reads it

A row enters the table by being defined: a file in ops/ is all that a new one needs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from nn.sizes import Size

from ..stored import Stored
from .call import OPS, Call
from .value import LARGEST, ProgramError, Value

__all__ = ["Line", "Op", "Source", "Step"]

Pair = tuple[int, int]


class Source(NamedTuple):
    """Where a step has its numbers: constants by name, and the grid of each value that has one."""

    constants: Mapping[str, Any]
    grids: Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """What one kernel does in a Program that is bound: all of it but the numbers.

    load(source) makes what it keeps in memory (operands, biases, multipliers); run(held, out, *inputs)
    computes with that into the array `out`, and where `sized` is told the named lengths too, as dims=. made:
    the value that it writes. in_place: whether it may write where its first input lies. macs: multiply-adds
    for one example.
    """

    kernel: str
    inputs: tuple[str, ...]
    output: str
    made: Value
    run: Callable[..., object]
    said: str = ""
    load: Callable[[Source], tuple[Any, ...]] = lambda source: ()
    macs: int = 0
    in_place: bool = False
    sized: bool = False

    def __str__(self) -> str:
        return f"{self.output} = {self.kernel}({', '.join(self.inputs)}{self.said})"


class Line:
    """A Call with what its names stand for. `grid`: of its output, where the Program names one."""

    def __init__(self, call: Call, inputs: list[Value], constants: Mapping[str, Any], grid: Any,
                 names: set[str]) -> None:
        self.call, self.inputs, self.grid, self.names = call, inputs, grid, names
        self.op: Op = call.row()
        self._constants = constants

    def __getitem__(self, attribute: str) -> Any:
        return self.op.of(self.call, attribute)

    def constant(self, role: str) -> Any:
        """The array or Stored in this role; None if the line has none."""
        name = self.call.constants.get(role)
        return None if name is None else self._constants[name]

    def fail(self, why: str) -> ProgramError:
        """The error that names this line."""
        return self.call.fail(why)

    def need(self, i: int, *dtypes: str, ndim: int | None = None) -> Value:
        """Input number i. Raises ProgramError unless it has one of these dtypes and `ndim` dimensions."""
        value = self.inputs[i]
        if value.dtype not in dtypes:
            raise self.fail(f"needs {' or '.join(dtypes)}; got {value.dtype}")
        if ndim is not None and len(value.shape) != ndim:
            raise self.fail(f"needs {ndim} dimensions with the batch; got shape {value.shape}")
        if value.dtype in ("uint8", "int8") and value.grid is None:
            raise self.fail(f"{self.call.inputs[i]} is on no grid: nothing says what its integers stand for")
        return value

    def made(self, dtype: str, shape: tuple[int | Size, ...], grid: Any = None) -> Value:
        """A Value, after a look at its size."""
        value = Value(dtype, tuple(shape), grid)
        if any(type(size) is int and size < 1 for size in shape) or value.numbers() > LARGEST:
            raise self.fail(f"makes the shape {value.shape}, which is empty or too large")
        return value

    def vector(self, role: str, size: int, dtype: Any = np.float32) -> np.ndarray | None:
        """The finite vector in this role; None if there is none. Raises ProgramError for another."""
        array, name = self.constant(role), self.call.constants.get(role)
        if array is None:
            return None
        if not isinstance(array, np.ndarray) or array.dtype != dtype or array.shape != (size,):
            got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            raise self.fail(f"{name} must be {np.dtype(dtype).name} ({size},); got {got}")
        if not np.isfinite(array).all():
            raise self.fail(f"{name} must be finite")
        return array

    def weight(self) -> Stored:
        """The weight in its stored form. Raises ProgramError for a constant that is none."""
        weight = self.constant("weight")
        if not isinstance(weight, Stored):
            raise self.fail(f"{self.call.constants['weight']} must be a weight; got {type(weight).__name__}")
        return weight


# What an attribute may be: its kind and its default stand in the row of its op.


def _whole(value: Any) -> bool:
    return type(value) is int


def _pair(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(_whole, value))


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e39


KINDS: dict[str, Callable[[Any], bool]] = {
    "int": _whole,
    "pair": _pair,
    "axes": lambda value: isinstance(value, tuple) and all(map(_whole, value)),
    "shape": lambda value: isinstance(value, tuple) and all(_whole(n) or isinstance(n, Size) for n in value),
    "clip": lambda value: isinstance(value, tuple) and len(value) == 2 and value != (None, None)
    and all(end is None or _number(end) for end in value),
    "text": lambda value: isinstance(value, str),
}


class Op:
    """A row of the table; each row is the one object of its class.

    arity: how many values it reads, None for any number. roles: the constants that it reads, and whether it
    must have each. attributes: the kind and the default of each.
    """

    name: ClassVar[str] = ""
    arity: ClassVar[int | None] = 1
    roles: ClassVar[dict[str, bool]] = {}
    attributes: ClassVar[dict[str, tuple[str, Any]]] = {}

    def __init_subclass__(cls) -> None:
        if cls.name:
            OPS[cls.name] = cls()

    def check(self, call: Call) -> None:
        """Raise ProgramError unless the call has what this op takes."""
        if self.arity is not None and len(call.inputs) != self.arity:
            raise call.fail(f"takes {self.arity} inputs")
        for name, value in call.attributes.items():
            if name not in self.attributes:
                raise call.fail(f"has no attribute {name}")
            if not KINDS[self.attributes[name][0]](value):
                raise call.fail(f"{name} must be of the kind {self.attributes[name][0]}; got {value!r:.80}")
        missing = [role for role, needed in self.roles.items() if needed and role not in call.constants]
        if missing or not call.constants.keys() <= self.roles.keys():
            raise call.fail(f"takes the constants {', '.join(self.roles)}; got {', '.join(call.constants)}")

    def infer(self, line: Line) -> Value:
        """What the line makes. Raises ProgramError if it can't."""
        raise TypeError(f"{self.name} does not say what it makes")

    def steps(self, line: Line, made: Value) -> list[Step]:
        """The kernels that make the value `made`; the last of them writes it."""
        raise TypeError(f"{self.name} can't run")

    def macs(self, line: Line, made: Value) -> int:
        """Multiply-adds for one example."""
        return 0

    def arguments(self, call: Call) -> list[str]:
        """What stands between the parentheses of the printed line; an attribute that is none, as it came."""
        sound = all(name in self.attributes and KINDS[self.attributes[name][0]](value)
                    for name, value in call.attributes.items())
        said = self.said(call) if sound else [f"{name}={value!r:.40}" for name, value in
                                              call.attributes.items()]
        return [*call.inputs, *call.constants.values(), *said]

    def said(self, call: Call) -> list[str]:
        """How its attributes are read."""
        return []

    def words(self, call: Call) -> str:
        """How its attributes are read, behind the arguments of a step."""
        return "".join(f", {word}" for word in self.said(call))

    def of(self, call: Call, name: str) -> Any:
        """An attribute of a call, or its default."""
        return call.attributes.get(name, self.attributes[name][1])


def clipped(clip: tuple | None) -> list[str]:
    """How a clip at the end of a line is read: relu, or its ends."""
    if clip is None:
        return []
    low, high = clip
    if high is None:
        return ["relu" if low == 0 else f"at least {low:g}"]
    return [f"at most {high:g}" if low is None else f"clip {low:g}…{high:g}"]


def windows(op: Op, call: Call, *names: str) -> list[str]:
    """How stride, padding and dilation are read, where they are not the usual ones."""
    usual = {"stride": (1, 1), "dilation": (1, 1), "padding": (0, 0)}
    said = {name: op.of(call, name) for name in names}
    return [f"{'padded' if name == 'padding' else name} {value[0]}×{value[1]}"
            for name, value in said.items() if value != usual[name]]
