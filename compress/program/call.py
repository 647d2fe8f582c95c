"""A Call is one line of a Program: `output = op(inputs, constants, attributes)`. It says what is computed and
not how.

The table of what each op is stands in ops/: which constants and attributes it has, what it makes of its
inputs, what it costs, and which kernels compute it.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nn.sizes import Size, names_in

from .value import ProgramError

__all__ = ["OPS", "Call", "call_from_json"]

OPS: dict[str, Any] = {}  # name -> Op: what a Program may contain; an op enters by being defined (op.py)

MOST = 2**31  # of an integer among the attributes


@dataclass(frozen=True)
class Call:
    """inputs: the values it reads. constants: the role of each constant ("weight", "bias") and its name.
    attributes: numbers, texts, tuples and slices; those that are not here have the default that the op names.
    """

    op: str
    inputs: tuple[str, ...]
    output: str
    constants: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        op = self.row()
        read = [*self.inputs, *self.constants.values()] if op is None else op.arguments(self)
        return f"{self.output} = {self.op}({', '.join(read)})"

    def row(self) -> Any:
        """The row of the table that says what this op is; None if there is none."""
        return OPS.get(self.op.partition(": ")[0])

    def to_json(self) -> dict[str, Any]:
        """The call as plain JSON values."""
        said: dict[str, Any] = {"op": self.op, "inputs": list(self.inputs), "output": self.output}
        if self.constants:
            said["constants"] = dict(self.constants)
        if self.attributes:
            said["attributes"] = {name: _plain(value) for name, value in self.attributes.items()}
        return said

    def fail(self, why: str) -> ProgramError:
        """The error that names this line."""
        return ProgramError(f"{self}: {why}")


def call_from_json(said: Any) -> Call:
    """The inverse of `to_json`, trusting nothing. The Program checks whether the op has such attributes."""
    wanted = {"op": str, "inputs": list, "output": str, "constants": dict, "attributes": dict}
    if not isinstance(said, dict) or not {"op", "inputs", "output"} <= said.keys() <= wanted.keys():
        raise ProgramError(f"not a call that this version knows: {str(said)[:80]!r}")
    for name, value in said.items():
        if not isinstance(value, wanted[name]):
            raise ProgramError(f"call: {name} must be a {wanted[name].__name__}; got {str(value)[:80]!r}")
    names = [*said["inputs"], *said.get("constants", {}).values()]
    if not all(isinstance(name, str) for name in names):
        raise ProgramError(f"call: its inputs and constants must be names; got {str(names)[:80]!r}")
    attributes = {name: _meant(value) for name, value in said.get("attributes", {}).items()}
    return Call(said["op"], tuple(said["inputs"]), said["output"], said.get("constants", {}), attributes)


# What JSON has no word for is an object with one entry, whose name says what it is.


def _plain(value: Any) -> Any:
    if isinstance(value, Size):
        return {"size": str(value)}
    if isinstance(value, (tuple, list)):
        return [_plain(entry) for entry in value]
    if isinstance(value, slice):
        return {"slice": [_plain(end) for end in (value.start, value.stop, value.step)]}
    if value is Ellipsis:
        return {"dots": 0}
    if isinstance(value, np.ndarray):
        return {"array": [value.dtype.str, list(value.shape), value.ravel().tolist()]}
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return {"dtype": np.dtype(value).str}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ProgramError(f"a call can't have {value!r:.80} among its attributes")


def _meant(said: Any) -> Any:
    if isinstance(said, list):
        return tuple(_meant(entry) for entry in said)
    if isinstance(said, dict):
        ((kind, value),) = said.items() if len(said) == 1 else ((None, None),)
        try:
            if kind == "size":
                return Size(value) if names_in(Size(value)) else _bad(said)
            if kind == "slice":
                start, stop, step = map(_meant, value)
                return slice(start, stop, step)
            if kind == "dots":
                return Ellipsis
            if kind == "float":
                return float(value)
            if kind == "dtype":
                return _numeric(value)
            if kind == "array":
                dtype, shape, numbers = value
                return np.array(numbers, _numeric(dtype)).reshape(tuple(shape))
        except (TypeError, ValueError, AttributeError, OverflowError):
            pass
        return _bad(said)
    if isinstance(said, bool) or said is None or isinstance(said, str):
        return said
    fine = math.isfinite(said) if isinstance(said, float) else abs(said) < MOST
    return said if fine else _bad(said)


def _numeric(said: Any) -> np.dtype:
    """A dtype of numbers or booleans, by its NumPy code."""
    dtype = np.dtype(said) if isinstance(said, str) else np.dtype(object)
    return dtype if dtype.kind in "biuf" else _bad(said)


def _bad(said: Any) -> Any:
    raise ProgramError(f"call: {str(said)[:80]!r} is no attribute")
