"""What a kernel asks of its arguments, declared once: the texts of its decorator, read.

    "f32[M,K]"            a float32 matrix. Equal names of axes must have equal sizes, in all arguments
    "f32[O,C/groups]"     an axis that is no plain name: what it must be, the kernel's plan says
    "u8|s8[M,K]"          one of several dtypes
    "s64||int[N]"         C gets those behind || as those before; where it wants floats the specification runs
    "f32[...]"            any shape, of which all such arguments have the same
    "f32[O]?"             may be None
    "number|f32[N]"       a number, or a vector
    "f32[r,i,o,s]*"       a list of arrays
    "f32[M,K] rows"       C reads it where it lies, if its last axis has no gaps, and is told the distance of
                          its rows; "pixels": the same, the plan is told all distances; "strided": wherever it
                          lies. Without such a word C gets a copy, unless it is contiguous
    operand("f32[K,N]")   may be packed

An argument that is no array here is an attribute: what it may be is said by the kernel's plan.
"""

import re
from collections.abc import Callable
from types import NoneType
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from .arguments import F32, FLOATS, I8, I32, I64, INTEGERS, U8, U16, array, dense, disagree
from .operand import Operand

DTYPES = {"f32": (F32,), "u8": (U8,), "s8": (I8,), "s32": (I32,), "s64": (I64,), "u16": (U16,),
          "int": INTEGERS, "real": (*FLOATS, *INTEGERS)}
_TYPE = (r"(number\|)?([a-z0-9]+(?:\|[a-z0-9]+)*)(?:\|\|([a-z0-9]+))?\[([^\]]*)\](\*?)(\??)"
         r"(?: (rows|strided|pixels))?")
_PAIR = "an integer, or a pair (vertical, horizontal)"
_SAID = {"stride": _PAIR, "padding": _PAIR, "dilation": _PAIR, "kernel_size": f"of the windows: {_PAIR}",
         "size": f"of the images: {_PAIR}", "groups": "how many there are, of channels and of filters"}
_LASTING = {int, float, bool, str, NoneType, type}


class Kind(NamedTuple):
    """What one argument, or one result, may be."""

    name: str
    dtypes: tuple[np.dtype, ...]       # those that C takes first, then those that are made into them
    native: int                        # how many of them C takes
    dims: tuple[str, ...] | None       # names of the axes, or None for any shape
    number: bool
    many: bool
    optional: bool
    reading: str                       # "dense", "rows", "strided", "pixels"

    @property
    def rank(self) -> int | None:
        """How many axes, or None for any number."""
        return None if self.dims is None else len(self.dims)

    @property
    def usual(self) -> np.dtype:
        """The dtype that mostly comes."""
        return self.dtypes[0]


class operand(NamedTuple):
    """An argument that may be packed. others: arguments that are in the same operand. shape: the names of the
    axes of the matrix that it stands for, where those of the argument are not these."""

    text: str
    others: tuple[str, ...] = ()
    shape: str = ""


def kind(name: str, text: str) -> Kind:
    """One argument's text, read."""
    match = re.fullmatch(_TYPE, text)
    if match is None:
        raise ValueError(f"kernel: {name} is declared as {text!r}, which is no type (nn/kernels/contract.py)")
    number, dtypes, others, dims, many, optional, reading = match.groups()
    found = tuple(d for name in dtypes.split("|") for d in DTYPES[name])
    axes = None if dims == "..." else tuple(dims.split(","))
    return Kind(name, (*found, *DTYPES.get(others, ())), len(found), axes, bool(number), bool(many),
                bool(optional), reading or "dense")


class Result(NamedTuple):
    """What the plan of a kernel that has no C says."""

    shape: tuple[int, ...]
    dtype: np.dtype


class Contract:
    """The arguments of one kernel: `arrays` by name, the names of its `attributes`, its `results`.

    parameters: the names of all, in order. packed: the name of the operand, or None. out: whether the caller
    may say where the result goes: where there is one, and it is an array of the kernel's making.
    """

    def __init__(self, reference: Callable, types: dict[str, Any]) -> None:
        code = reference.__code__
        self.parameters = code.co_varnames[:code.co_argcount + code.co_kwonlyargcount]
        self.positional = code.co_argcount
        results = types.pop("out", ())
        self.results = [kind("out", results)] if isinstance(results, str) else [
            kind(*text.split(": ")) for text in results]
        self.out = isinstance(results, str)
        self.packed, self.others = None, ()
        for name, text in types.items():
            if isinstance(text, operand):
                self.packed, self.others, types = name, text.others, {**types, name: text.text}
                self.dims = tuple(text.shape.split(",")) if text.shape else kind(name, text.text).dims
        self.arrays = {name: kind(name, types[name]) for name in self.parameters if name in types}
        self.attributes = [name for name in self.parameters if name not in self.arrays]
        self.alone = [k for k in self.arrays.values() if k.name not in (self.packed, *self.others)]
        self.shaped = {name: self.dims if name == self.packed else k.dims for name, k in self.arrays.items()
                       if k.dims and not k.number and name not in self.others}
        optional = [name for name in self.shaped if self.arrays[name].optional]
        self.whole = [name for name, k in self.arrays.items() if k.dims is None]    # of any, equal shapes
        self.axes: dict[str, tuple[str, int]] = {}    # a name -> the argument and axis where it is first
        for name in sorted(self.shaped, key=optional.count):
            for axis, dim in enumerate(self.shaped[name]):
                if dim.isidentifier():
                    self.axes.setdefault(dim, (name, axis))
        dims = [dim for k in self.results for dim in k.dims or ()]
        self.shaped_by_plan = not all(dim in self.axes for dim in dims)

    def describe(self) -> str:
        """The arguments and results as documentation, a line of text each, and the errors of all kernels."""
        said = [f"    {name}: {_SAID[name]}." for name in self.attributes if name in _SAID]
        for k in (*self.arrays.values(), *self.results):
            names = dict.fromkeys("integers" if k.dtypes == INTEGERS else d.name for d in k.dtypes[:k.native])
            shape = "of any shape" if k.dims is None else f"({', '.join(k.dims)}{',' * (len(k.dims) == 1)})"
            what = f"{'a number, or ' * k.number}{'a list of ' * k.many}{' or '.join(names)} {shape}"
            what += ", or None" * k.optional
            if k.name == self.packed:
                what += f", or `pack`ed{' with ' * bool(self.others)}{' and '.join(self.others)}"
            result = k in self.results
            said.append(f"    {k.name}: {'takes the result, ' * (result and self.out)}{what}"
                        f"{', sharing no memory with an input' * (result and self.out)}.")
        said.append("    Raises TypeError for a wrong type or dtype, ValueError for a wrong shape or value.")
        return "\n".join(said)

    def plain(self, who: str, given: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """The arguments as plain arrays, or an error that says which one is none, and what was wanted; and
        whether there is one of a dtype that only the specification takes."""
        found, other = dict(given), False
        packed = type(given.get(self.packed)) is Operand
        for name, k in self.arrays.items():
            x = given[name]
            if (packed and name in (self.packed, *self.others)) or (x is None and k.optional):
                continue
            if name in (self.packed, *self.others) and (k.many or self.others):
                continue    # made into an operand by the kernel's own `pack`, which looks at them
            if k.number and not (isinstance(x, ndarray) and x.ndim):
                continue
            floats = FLOATS if k.usual is F32 else ()    # with which the specification runs
            x = found[name] = array(who, name, x, k.rank, *k.dtypes, *floats)
            other = other or (k.usual is F32 and x.dtype not in k.dtypes[:k.native])
        return found, other

    def agree(self, who: str, shapes: dict[str, tuple[int, ...]]) -> dict[str, int]:
        """The size of each named axis, or an error that names two arguments that differ."""
        sizes: dict[str, int] = {}
        for name, dims in self.shaped.items():
            if shapes.get(name) is None:
                continue
            for axis, dim in enumerate(dims):
                first, at = self.axes.get(dim, (name, axis))
                if shapes.get(first) is None:
                    continue
                if shapes[name][axis] != shapes[first][at]:
                    raise disagree(who, dim, first, shapes[first], name, shapes[name])
                sizes[dim] = shapes[name][axis]
        for k in self.arrays.values():
            if k.number and shapes.get(k.name) and shapes[k.name][0] != sizes.get(*k.dims, *shapes[k.name]):
                first = self.axes[k.dims[0]][0]
                raise disagree(who, k.dims[0], first, shapes[first], k.name, shapes[k.name])
        first, *rest = [name for name in self.whole if name in shapes] or [None]
        for name in rest:
            if shapes[name] != shapes[first]:
                raise disagree(who, "shape", first, shapes[first], name, shapes[name])
        return sizes

    def vector(self, who: str, k: Kind, x: Any, shapes: tuple, at: tuple[int, int]) -> ndarray | None:
        """A vector of a number for each column, as C can read it; None if it is no plain one.

        shapes[at[0]][at[1]] is how many there must be.
        """
        if type(x) is not ndarray or x.dtype not in k.dtypes or x.ndim != 1:
            return None
        if len(x) != shapes[at[0]][at[1]]:
            raise disagree(who, k.dims[0], self.axes[k.dims[0]][0], shapes[at[0]], k.name, x.shape)
        return dense(x)


def names_of(function: Callable) -> tuple[str, ...]:
    """The names of a function's arguments; of a class's, those of the instances that it makes."""
    made = isinstance(function, type)
    code = (function.__init__ if made else function).__code__
    return code.co_varnames[made:code.co_argcount]


def lasting(value: Any) -> bool:
    """Whether an attribute is what it is for good, and may be remembered by its identity."""
    if type(value) is tuple:
        return set(map(type, value)) <= {int}
    return type(value) in _LASTING or isinstance(value, (np.generic, np.dtype))
