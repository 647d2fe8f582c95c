"""The signature of a kernel in C, as it follows from the kernel's contract (nn/kernels/contract.py).

    sizes of axes           int64_t, by the names that they have there: H' is H_out, C/groups C_per_group
    arrays of any shape     int64_t size: how many numbers each of them has
    an array                a pointer to numbers in C order without gaps; NULL for None
    of several dtypes       the one that holds the others, or else void * and the dtype as a number, NN_U8
    a number or a vector    always a vector
    a list of arrays        how many there are, their shapes, and an array of pointers
    an attribute            int64_t, double, bool or const char *; a pair is two parameters
    results                 pointers, at the end; NULL where one is not wanted
    one of unknown length   a pointer to as much room as it may take, and one to the number that was written

It returns 0, or another number to say that it could not.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import NoneType, UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import numpy as np

from ...kernels import Kernel
from ...kernels.arguments import INTEGERS
from ...kernels.contract import Contract, Kind, in_brackets

C_TYPES = {"f4": "float", "f8": "double", "u1": "uint8_t", "i1": "int8_t", "u2": "uint16_t", "u4": "uint32_t",
           "i4": "int32_t", "i8": "int64_t"}
TYPES = {"f4": "NN_F32", "u1": "NN_U8", "i1": "NN_S8", "i4": "NN_S32", "f2": "NN_F16",
         "u2": "NN_U16"}  # what a `void *` may point to
AXES = {"size": ("H", "W"), "kernel_size": ("kH", "kW")}  # attributes that are the sizes of axes
PAIRS = ("_h", "_w")  # vertical, horizontal
ENDS = ("_low", "_high")
IMPLIED = ("out_dtype",)  # what the type of a result says


class Parameter(NamedTuple):
    """One parameter in C. role: how its value is found, of what `source` (an axis, an argument, a result) and
    which `part` of that. dtype: of the numbers that it points to, or None."""

    name: str
    type: str
    role: str
    source: str
    said: str
    part: int = 0
    dtype: np.dtype | None = None

    def __str__(self) -> str:
        return f"{self.type}{'' if self.type.endswith('*') else ' '}{self.name}"


def signature(kernel: Kernel) -> list[Parameter]:
    """The parameters of a kernel in C, in order.

    Raises ValueError for a kernel with an argument that no C type follows from."""
    return _Writer(kernel).parameters()


def prototype(kernel: Kernel, name: str = "", width: int = 110) -> str:
    """`int gemm(int64_t M, …)`, under another name if one is given, on lines of at most this many columns."""
    start = f"int {name or kernel.name}("
    lines, last = [], start
    each = [str(parameter) for parameter in signature(kernel)]
    for i, text in enumerate(each):
        text += ")" if i == len(each) - 1 else ","
        if len(last) + len(text) + 1 > width:
            lines.append(last)
            last = " " * (len(start) - 1)
        last += f"{'' if last == start else ' '}{text}"
    return "\n".join([*lines, last])


def passed(k: Kind) -> np.dtype | None:
    """The dtype that C gets an argument in; None where it may be one of several."""
    if k.dtypes == INTEGERS:
        return np.dtype(np.int64)
    natives = k.dtypes[:k.native]
    for wide in natives:
        if all(np.can_cast(d, wide) and (d.kind == "f") == (wide.kind == "f") for d in natives):
            return wide
    return None


def of_unknown_length(k: Kind) -> bool:
    """Whether only the kernel can say how many numbers a result has, and the contract how many at most."""
    return bool(k.dims) and k.dims[0].startswith("<")


class _Writer:
    """Finds the parameters of one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.contract = kernel, kernel.contract
        self.hints = get_type_hints(kernel.reference)
        self.found: dict[str, Parameter] = {}

    def parameters(self) -> list[Parameter]:
        c = self.contract
        self.sizes(c)
        for name in c.parameters:
            if name in c.arrays:
                self.array(c.arrays[name], constant=bool(c.results))
            else:
                self.attribute(name, self.hints.get(name, Any))
        for k in c.results:
            self.array(k, result=True, constant=False)
        return list(self.found.values())

    def add(self, name: str, type: str, role: str, source: str, said: str, **more: Any) -> None:
        self.found.setdefault(name, Parameter(name, type, role, source, said, **more))

    def sizes(self, c: Contract) -> None:
        """The sizes of axes, each once, and the lengths of lists."""
        for k in (*c.arrays.values(), *c.results):
            if k.many:
                self.add("count", "int64_t", "count", k.name, f"how many arrays {k.name} has")
                if k.dims:
                    said = f"int64 (count, {len(k.dims)}): the shape of each, {', '.join(k.dims)}"
                    self.add(f"{k.name}_shape", "const int64_t *", "shapes", k.name, said,
                             dtype=np.dtype(np.int64))
                else:
                    self.add("sizes", "const int64_t *", "sizes", k.name,
                             "int64 (count,): how many numbers each array has", dtype=np.dtype(np.int64))
                continue
            if k.dims is None:
                self.add("size", "int64_t", "size", k.name, f"how many numbers {k.name} has")
                if k.last:
                    self.axis(k.last, c)
            for dim in k.dims or ():
                self.axis(dim, c)

    def axis(self, dim: str, c: Contract) -> None:
        if not dim.isdecimal() and dim not in c.attributes:
            self.add(c_name(dim), "int64_t", "axis", dim, "the sizes of the axes, any of which may be 0")

    def array(self, k: Kind, constant: bool, result: bool = False) -> None:
        dtype = (None if k.native > 1 else k.usual) if result else passed(k)
        said = f"{'of one of these types' if dtype is None else dtype.name} {_shape(k)}"
        if k.optional or (result and k.name in self.contract.parameters):
            said += ", or NULL"
        before, role = "const " * constant, "result" if result else "vector" if k.number else "array"
        c_type = "void" if dtype is None else C_TYPES[dtype.str[1:]]
        if k.many:
            said = f"{dtype.name} arrays of {'these shapes' if k.dims else 'these sizes'}"
            if not constant:
                said += ", read and written in place"
            self.add(k.name, f"{before}{c_type} *const *", "list", k.name, said, dtype=dtype)
            return
        self.add(k.name, f"{before}{c_type} *", role, k.name, said, dtype=dtype)
        if of_unknown_length(k):
            said = f"how many of {k.name} were written"
            self.add(f"{k.name}_size", "int64_t *", "size written", k.name, said, dtype=np.dtype(np.int64))
        if dtype is None:
            names = ", ".join(TYPES[d.str[1:]] for d in k.dtypes[:k.native])
            self.add(f"{k.name}_type", "int", f"type of {role}", k.name, f"one of {names}")

    def attribute(self, name: str, hint: Any) -> None:
        """One attribute: what its annotation says that it may be."""
        wanted = {k.name for k in self.contract.results}  # whether a result is wanted: NULL says so
        if name in IMPLIED or name in wanted or name.startswith("overwrite_"):
            return
        options = [o for o in (get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,))
                   if o is not NoneType]
        optional, pairs = NoneType in get_args(hint), [o for o in options if get_origin(o) is tuple]
        if pairs and get_args(pairs[0]) == (int, int):
            ends = AXES.get(name) or [name + end for end in (ENDS if optional else PAIRS)]
            said = ("the least and the greatest code that the result may have" if optional else
                    f"{name}, vertical and horizontal")
            for part, end in enumerate(ends):
                self.add(end, "int64_t", "ends" if optional else "pair", name, said, part=part)
        elif pairs and set(get_args(pairs[0])) == {float}:
            for part in range(len(get_args(pairs[0]))):
                self.add(f"{name.removesuffix('s')}{part + 1}", "double", "part", name, name, part=part)
        elif get_origin(options[0]) is Sequence:
            self.add(name, "const int64_t *", "integers", name, "int64 (count,)", dtype=np.dtype(np.int64))
        elif options[0] in _PLAIN:
            self.add(name, _PLAIN[options[0]], "attribute", name, _default(self.kernel, name))
        else:
            raise ValueError(f"{self.kernel.name}: no C type follows from the annotation of {name}, {hint}")


_PLAIN = {bool: "bool", int: "int64_t", float: "double", str: "const char *"}


def _default(kernel: Kernel, name: str) -> str:
    reference = kernel.reference
    count = len(reference.__defaults__ or ())
    positional = reference.__code__.co_varnames[:reference.__code__.co_argcount]
    defaults = dict(zip(positional[len(positional) - count:], reference.__defaults__ or (), strict=True))
    defaults |= reference.__kwdefaults__ or {}
    if name not in defaults:
        return "as the text above says"
    value = f'"{defaults[name]}"' if isinstance(defaults[name], str) else f"{defaults[name]}".lower()
    return f"as the text above says; {value} where the caller says nothing"


def c_name(dim: str) -> str:
    """The name of an axis as C has names."""
    return dim.lstrip("<").replace("'", "_out").replace("/groups", "_per_group")


def _shape(k: Kind) -> str:
    if k.dims is None:
        return "of `size` numbers" + f", {k.last} in each row" * bool(k.last)
    return in_brackets([c_name(dim) for dim in k.dims])
