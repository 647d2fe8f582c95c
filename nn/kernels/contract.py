"""What a kernel asks of its arguments, declared once: the texts of its decorator, read.

    "f32[M,K]"            a float32 matrix. Equal names of axes must have equal sizes, in all arguments
    "f32[O,C/groups]"     an axis that is no plain name: what it must be, the kernel's plan says
    "u8|s8[M,K]"          one of several dtypes
    "s64||int[N]"         C gets those behind || as those before; where it wants floats the specification runs
    "f32[...]"            any shape, of which all such arguments have the same
    "f32[...,C]"          the same, and its last axis has a name
    "f32[O]?"             may be None
    "number|f32[N]"       a number, or a vector
    "f32[r,i,o,s]*"       a list of arrays
    "u8[<room]"           of a result: at most so many, which the plan says; C says how many there are
    "f32[M,K] rows"       C reads it where it lies, if its last axis has no gaps, and is told the distance of
                          its rows; "pixels": the same, the plan is told all distances; "strided": wherever it
                          lies. Without such a word C gets a copy, unless it is contiguous
    operand("f32[K,N]")   may be packed

An argument that is no array here is an attribute: what it may be is said by the kernel's plan.
"""

import re
from collections.abc import Callable, Sequence
from types import NoneType
from typing import Any, NamedTuple

import numpy as np

from .arguments import F16, F32, F64, FLOATS, I8, I32, I64, INTEGERS, U8, U16, U32, array, disagree
from .native import ffi
from .operand import Operand

DTYPES = {"f16": (F16,), "f32": (F32,), "f64": (F64,), "u8": (U8,), "s8": (I8,), "s32": (I32,),
          "s64": (I64,), "u16": (U16,), "u32": (U32,), "int": INTEGERS, "real": (*FLOATS, *INTEGERS)}
_TYPE = (r"(number\|)?([a-z0-9]+(?:\|[a-z0-9]+)*)(?:\|\|([a-z0-9]+))?\[([^\]]*)\](\*?)(\??)"
         r"(?: (rows|strided|pixels))?")
_PAIR = "an integer, or a pair (vertical, horizontal)"
_SAID = {"stride": _PAIR, "padding": _PAIR, "dilation": _PAIR, "kernel_size": f"of the windows: {_PAIR}",
         "size": f"of the images: {_PAIR}", "groups": "how many there are, of channels and of filters"}
_PLAIN = {int, float, bool, str, NoneType}


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
    rank: int | None                   # how many axes, or None for any number
    usual: np.dtype                    # the dtype that mostly comes
    last: str = ""                     # the name of the last axis, where there are any number


class operand(NamedTuple):
    """An argument that may be packed. others: arguments that are in the same operand. shape: the names of the
    axes of the matrix that it stands for, where those of the argument are not these."""

    text: str
    others: tuple[str, ...] = ()
    shape: str = ""


class Plan:
    """What a kernel's plan may say of a call.

    shape, dtype: of the result, where no named axes, and not its type alone, say them. c: a struct for C
    (where it is None, the specification runs), with what must be `kept` alive for it. geometry: what a
    function of the kernel's own reads. lasting: whether it holds no copy of an array, and may be remembered.
    """

    __slots__ = ("c", "dtype", "geometry", "kept", "lasting", "shape")

    def __init__(self, shape: tuple[int, ...] = (), dtype: np.dtype | None = None, c: Any = None,
                 kept: Any = None, geometry: Any = None, lasting: bool = True) -> None:
        self.shape, self.dtype, self.c, self.kept = shape, dtype, c, kept
        self.geometry, self.lasting = geometry, lasting

    def lying(self, x: tuple[int, ...], out: tuple[int, ...]) -> "Plan":
        """The same for images with these strides, in bytes, and the same of the result: float32, channels
        adjacent. (As it is made, it is for arrays without gaps.)"""
        c = ffi.new(ffi.typeof(self.c), self.c[0])
        c.x_image, c.x_row, c.x_pixel = x[0] // 4, x[1] // 4, x[2] // 4
        c.out_image, c.out_row, c.out_pixel = out[0] // 4, out[1] // 4, out[2] // 4
        return Plan(self.shape, self.dtype, c, self.kept)


def kind(name: str, text: str) -> Kind:
    """One argument's text, read."""
    match = re.fullmatch(_TYPE, text)
    if match is None:
        raise ValueError(f"kernel: {name} is declared as {text!r}, which is no type (nn/kernels/contract.py)")
    number, dtypes, others, dims, many, optional, reading = match.groups()
    found = tuple(d for name in dtypes.split("|") for d in DTYPES[name])
    any_shape, _, last = dims.partition(",") if dims.startswith("...") else ("", "", "")
    axes = None if any_shape else tuple(dims.split(","))
    return Kind(name, (*found, *DTYPES.get(others, ())), len(found), axes, bool(number), bool(many),
                bool(optional), reading or "dense", axes and len(axes), found[0], last)


class Contract:
    """The arguments of one kernel: `arrays` by name, the names of its `attributes`, its `results`.

    parameters: the names of all. packed: the name of the operand, or None; others: what is packed with it;
    looked_at: whether the kernel's own `pack` looks at them, as there are several; alone: the other arrays.
    out: whether the caller may say where the result goes. shaped: the names of the axes of each array.
    """

    def __init__(self, reference: Callable, types: dict[str, Any]) -> None:
        code = reference.__code__
        self.parameters = code.co_varnames[:code.co_argcount + code.co_kwonlyargcount]
        self.positional = code.co_argcount
        types = dict(types)
        results = types.pop("out", ())
        self.out = isinstance(results, str)
        self.results = [kind(*text.split(": ")) for text in ([f"out: {results}"] if self.out else results)]
        self.packed, self.others, shape = None, (), ""
        for name, text in types.items():
            if isinstance(text, operand):
                self.packed, (text, self.others, shape) = name, text
                types = {**types, name: text}
        self.arrays = {name: kind(name, types[name]) for name in self.parameters if name in types}
        self.attributes = [name for name in self.parameters if name not in self.arrays]
        self.alone = [k for k in self.arrays.values() if k.name not in (self.packed, *self.others)]
        self.looked_at = bool(self.packed) and (bool(self.others) or self.arrays[self.packed].many)
        self.shaped = {name: tuple(shape.split(",")) if shape and name == self.packed else k.dims
                       for name, k in self.arrays.items() if k.dims and name not in self.others}
        self.whole = [name for name, k in self.arrays.items() if k.dims is None]  # of any, equal shapes
        # A name of an axis -> the argument and the axis where it is first.
        self.axes: dict[str, tuple[str, int]] = {k.last: (k.name, -1) for k in self.arrays.values() if k.last}
        surely = sorted(self.shaped, key=lambda n: self.arrays[n].optional + self.arrays[n].number)
        for name in surely:
            for axis, dim in enumerate(self.shaped[name]):
                if dim.isidentifier():
                    self.axes.setdefault(dim, (name, axis))
        self.shaped_by_plan = not all(dim in self.axes for k in self.results for dim in k.dims or ())

    def describe(self) -> str:
        """The arguments and results as documentation, a line of text each, and the errors of all kernels."""
        said = [f"    {name}: {_SAID[name]}." for name in self.attributes if name in _SAID]
        for k in (*self.arrays.values(), *self.results):
            names = dict.fromkeys("integers" if k.dtypes == INTEGERS else d.name for d in k.dtypes[:k.native])
            shape = "of any shape" if k.dims is None else in_brackets(k.dims)
            what = f"{'a number, or ' * k.number}{'a list of ' * k.many}{' or '.join(names)} {shape}"
            what += ", or None" * k.optional
            if k.name == self.packed:
                what += f", or `pack`ed{' with ' * bool(self.others)}{' and '.join(self.others)}"
            if k.name == "out":
                what = f"takes the result, {what}, sharing no memory with an input"
            said.append(f"    {k.name}: {what}.")
        said.append("    Raises TypeError for a wrong type or dtype, ValueError for a wrong shape or value.")
        return "\n".join(said)

    def plain(self, who: str, given: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """The arguments as plain arrays, or an error that says which one is none, and what was wanted; and
        whether there is one of a dtype that only the specification takes."""
        found, other = dict(given), False
        for name, k in self.arrays.items():
            x = given[name]
            if ((x is None and k.optional) or (k.number and not (isinstance(x, np.ndarray) and x.ndim))
                    or (name in (self.packed, *self.others)
                        and (self.looked_at or type(given[self.packed]) is Operand))):
                continue
            # With which the specification runs:
            floats = [d for d in FLOATS if d not in k.dtypes] if k.usual is F32 else ()
            x = found[name] = array(who, name, x, k.rank, *k.dtypes, *floats)
            other = other or (k.usual is F32 and x.dtype not in k.dtypes[:k.native])
        return found, other

    def agree(self, who: str, shapes: dict[str, tuple[int, ...]]) -> dict[str, int]:
        """The size of each named axis, or an error that names two arguments that differ."""
        sizes: dict[str, int] = {}
        for name, dims in self.shaped.items():
            for axis, size in enumerate(shapes.get(name) or ()):
                first, at = self.axes.get(dims[axis], (name, axis))
                if shapes.get(first) and size != shapes[first][at]:
                    raise disagree(who, dims[axis], first, shapes[first], name, shapes[name])
                sizes[dims[axis]] = size
        first = None
        for name in self.whole:
            if name in shapes:
                first = first or name
                if shapes[name] != shapes[first]:
                    raise disagree(who, "shape", first, shapes[first], name, shapes[name])
        return sizes


def in_brackets(names: Sequence[str]) -> str:
    """Names as Python writes a tuple."""
    return f"({', '.join(names)}{',' * (len(names) == 1)})"


def names_of(function: Callable) -> tuple[str, ...]:
    """The names of a function's arguments."""
    return function.__code__.co_varnames[:function.__code__.co_argcount]


def plain(values: Sequence[Any]) -> bool:
    """Whether all arguments are Python's numbers, texts and None, and tuples of ints: marshal tells these
    apart. (Of a NumPy number it writes the bytes and not the type.)"""
    for x in values:
        if type(x) not in _PLAIN and not (type(x) is tuple and set(map(type, x)) <= {int}):
            return False
    return True


def lasting(values: Sequence[Any]) -> bool:
    """Whether all arguments are what they are for good, and may be remembered by their identity: attributes
    that can't change, and vectors, which C reads anew."""
    for x in values:
        if not (type(x) in _PLAIN or isinstance(x, (np.generic, np.dtype, type)) or (
                set(map(type, x)) <= {int} if type(x) is tuple else isinstance(x, np.ndarray) and x.ndim)):
            return False
    return True
