"""A Call is one line of a Program: `output = op(inputs, constants, attributes)`. It says what, not how.

Which constants and attributes an op has, what it makes and which kernels compute it stands in ops/."""

import math
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nn.sizes import Size, names_in

from .value import LARGEST, ONES, ProgramError

OPS: dict[str, Any] = {}  # name -> Op: what a Program may contain; an op enters by being defined (op.py)


@dataclass(frozen=True)
class Call:
    """inputs: the values it reads. constants: the role of each constant ("weight", "bias") and its name.
    attributes: numbers, texts, tuples and slices; those that are not here have the defaults of the op."""

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
        attributes = {name: _plain(value) for name, value in self.attributes.items()}
        optional = {"constants": dict(self.constants), "attributes": attributes}
        return {"op": self.op, "inputs": list(self.inputs), "output": self.output,
                **{name: said for name, said in optional.items() if said}}

    def fail(self, why: str) -> ProgramError:
        """The error that names this line."""
        return ProgramError(f"{self}: {why}")


# What `to_json` gives, as `fits` has it.
CALL = {"op": str, "inputs": [str], "output": str, "constants": {str: str}, "attributes": dict}


def call_from_json(said: Any) -> Call:
    """The inverse of `to_json`, trusting nothing. The Program checks whether the op has such attributes."""
    whole = {"constants": {}, "attributes": {}} | said if isinstance(said, dict) else said
    if not fits(whole, CALL):
        raise ProgramError(f"not a call that this version knows: {str(said)[:80]!r}")
    attributes = {name: _meant(value) for name, value in whole["attributes"].items()}
    return Call(said["op"], tuple(said["inputs"]), said["output"], whole["constants"], attributes)


def fits(said: Any, wanted: Any) -> bool:
    """Whether a JSON value is what is wanted: of a type; a list of any length [of]; a list of these (a, b);
    an object of any names {str: of}, or of exactly these {"a": of, "b": of}."""
    if isinstance(wanted, dict):
        of = dict.fromkeys(said, wanted[str]) if str in wanted and isinstance(said, dict) else wanted
        return isinstance(said, dict) and said.keys() == of.keys() and all(fits(said[n], of[n]) for n in of)
    if isinstance(wanted, (list, tuple)):
        of = wanted * len(said) if isinstance(wanted, list) and isinstance(said, list) else wanted
        return isinstance(said, list) and len(said) == len(of) and all(map(fits, said, of))
    return isinstance(said, wanted) and not isinstance(said, bool)


def size_from_json(text: Any) -> Size:
    """A length that moves, from its text. Raises ProgramError for what is none."""
    with suppress(ValueError):
        size = Size(text) if type(text) is str and len(text) < 200 else None
        if size is not None and names_in(size) and abs(size.at(ONES)) < LARGEST:
            return size
    raise ProgramError(f"not a length: {str(text)[:80]!r}")


def _numeric(said: Any) -> np.dtype:
    """A dtype of numbers or booleans."""
    dtype = np.dtype(said) if isinstance(said, (str, type, np.dtype)) else np.dtype(object)
    if dtype.kind not in "biuf":
        raise ProgramError(f"{said!r:.80} is no dtype of numbers")
    return dtype


# What JSON has no word for is an object with one entry, whose name says what it is: the types of such values,
# what is said of one, and what that means.
SAID: dict[str, tuple[Any, Any, Any]] = {
    "size": (Size, str, size_from_json),
    "slice": (slice, lambda value: [_plain(end) for end in (value.start, value.stop, value.step)],
              lambda said: slice(*[_meant(said[i]) for i in range(3)])),
    "dots": (type(...), lambda value: 0, lambda said: ...),
    "array": (np.ndarray, lambda value: [value.dtype.str, list(value.shape), value.ravel().tolist()],
              lambda said: np.array(said[2], _numeric(said[0])).reshape(tuple(said[1]))),
    "dtype": ((np.dtype, type), lambda value: _numeric(value).str, _numeric),
    "float": ((), str, float)}  # one that is not finite


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    for kind, (of, say, _) in SAID.items():
        if isinstance(value, of):
            return {kind: say(value)}
    if isinstance(value, (tuple, list)):
        return [_plain(entry) for entry in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ProgramError(f"a call can't have {value!r:.80} among its attributes")


def _meant(said: Any) -> Any:
    if isinstance(said, list):
        return tuple(_meant(entry) for entry in said)
    if isinstance(said, bool) or said is None or isinstance(said, str):
        return said
    with suppress(TypeError, ValueError, LookupError, AttributeError, OverflowError):
        if isinstance(said, dict):
            ((kind, value),) = said.items()
            return SAID[kind][2](value)
        if abs(said) < LARGEST or (isinstance(said, float) and math.isfinite(said)):
            return said
    raise ProgramError(f"call: {str(said)[:80]!r} is no attribute")
