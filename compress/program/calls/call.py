"""A Call is one line of a Program: it reads named values, makes one, and can tell everything about itself.

    infer   which dtype and shape it makes (and so whether the line is sound)
    bind    the function that runs it into a given array, with its constants looked up and packed
    macs    what it costs
    str     how a student reads it

Values carry a batch as their first dimension; shapes here are without it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from types import NoneType, UnionType
from typing import Any, ClassVar, Union, get_args, get_origin, get_type_hints

__all__ = ["CALLS", "Call", "ProgramError", "Value", "call_from_json"]

LARGEST = 2**31  # elements of one value for one example: more is a mistake, or an edited file


class ProgramError(ValueError):
    """A Program that makes no sense: a line that reads what nobody made, shapes that do not fit, unknown
    calls.
    """


@dataclass(frozen=True)
class Value:
    """What a line makes: dtype name and shape for one example."""

    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        short = {"float32": "f32", "uint8": "u8", "int32": "s32"}[self.dtype]
        return f"{short} ({', '.join(['N', *map(str, self.shape)])})"


Constants = Mapping[str, Any]  # name -> array or compress.Stored
Run = Callable[..., object]  # run(out, *inputs) writes into out

CALLS: dict[str, type[Call]] = {}  # op name -> class: what a Program may contain


@dataclass(frozen=True)
class Call:
    """`output = op(*inputs)`; subclasses add their attributes as fields."""

    inputs: tuple[str, ...]
    output: str

    op: ClassVar[str]
    arity: ClassVar[int] = 1
    in_place: ClassVar[bool] = False  # whether it may write where its first input lies

    def __init_subclass__(cls) -> None:
        if not cls.__name__.startswith("_"):
            CALLS[cls.op] = cls

    def infer(self, constants: Constants, *inputs: Value) -> Value:
        """What this line makes of its inputs; ProgramError if it can't."""
        raise TypeError(f"{self.op} does not say what it makes")

    def bind(self, constants: Constants) -> Run:
        """The function run(out, *inputs) that computes this line into the array `out`."""
        raise TypeError(f"{self.op} can't run")

    def macs(self, constants: Constants, *inputs: Value) -> int:
        """Multiply-adds for one example."""
        return 0

    def uses(self) -> tuple[str, ...]:
        """The names of the constants it reads."""
        return ()

    def detail(self) -> str:
        """What the printed line says after the inputs."""
        return ""

    def __str__(self) -> str:
        return f"{self.output} = {self.op}({', '.join(self.inputs)}{self.detail()})"

    def to_json(self) -> dict[str, Any]:
        return {"op": self.op, **asdict(self)}

    def fail(self, why: str) -> ProgramError:
        return ProgramError(f"{self}: {why}")

    def need(self, value: Value, dtypes: tuple[str, ...], ndim: int | None = None) -> None:
        """Raise unless `value` has one of these dtypes and, without the batch, this many dimensions."""
        if value.dtype not in dtypes:
            raise self.fail(f"needs {' or '.join(dtypes)}; got {value.dtype}")
        if ndim is not None and len(value.shape) != ndim:
            raise self.fail(f"needs {ndim} dimensions beside the batch; got shape {value.shape}")

    def made(self, dtype: str, shape: tuple[int, ...]) -> Value:
        """A Value, after a look at its size."""
        if any(size < 1 for size in shape) or math.prod(shape) > LARGEST:
            raise self.fail(f"makes the shape {shape}, which is empty or too large")
        return Value(dtype, shape)


def call_from_json(data: Any) -> Call:
    """The inverse of `to_json`, trusting nothing: every field there, of its declared type, and no other."""
    if not isinstance(data, dict) or not isinstance(data.get("op"), str) or data["op"] not in CALLS:
        raise ProgramError(f"not a call that this version knows: {str(data)[:80]!r}")
    cls = CALLS[data["op"]]
    hints = get_type_hints(cls)
    names = {field.name for field in fields(cls)}
    if names != set(data) - {"op"}:
        raise ProgramError(
            f"{cls.op}: needs exactly the fields {sorted(names)}; got {sorted(set(data) - {'op'})}"
        )
    return cls(**{name: _typed(data[name], hints[name], f"{cls.op}.{name}") for name in names})


def _typed(value: Any, kind: Any, where: str) -> Any:
    if get_origin(kind) in (Union, UnionType):
        (kind,) = [arg for arg in get_args(kind) if arg is not NoneType]
        return None if value is None else _typed(value, kind, where)
    if get_origin(kind) is tuple:
        item, *rest = get_args(kind)
        if isinstance(value, list) and (rest == [Ellipsis] or len(value) == 1 + len(rest)):
            return tuple(_typed(element, item, where) for element in value)
    elif (
        kind is float
        and isinstance(value, (int, float))
        and not isinstance(value, bool)
        and abs(value) <= sys.float_info.max
    ):
        return float(value)
    elif type(value) is kind and kind in (str, int, bool) and not (kind is int and abs(value) >= 2**31):
        return value
    raise ProgramError(f"{where}: {str(value)[:80]!r} is not a {getattr(kind, '__name__', kind)}")
