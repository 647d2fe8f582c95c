"""The gate of a kernel: the function that is called. Its source is written here from the kernel's contract.

A gate looks at what is usual (plain arrays of the right dtype and rank, C there) in as few steps as it takes;
everything else goes to `otherwise` (calling.py), which says what is wrong, or makes it usual, or runs the
specification. Then come sizes, plan, room for the result, and the one C call, whose text is the kernel's:

    "nn_gemm(M, N, K, a, b.c, out)"

There an array's name becomes its address and what C must know of its strides, and the name of an axis is
its size; plan, the operand's `c` and attributes are themselves. `kernel.gate` shows the result, and debuggers
step into it like into any other file.
"""

import linecache
import re
from functools import partial
from typing import Any

from numpy import empty, empty_like, ndarray

from . import arguments, native
from .calling import failed, otherwise, recall, specified
from .contract import Kind, names_of
from .operand import Operand

_TOLD = {"dense": ("{}_c",), "pixels": ("{}_c",), "rows": ("{}_c", "{}_row"),
         "strided": ("{}_c", "{}_row", "{}_column")}    # what C is told of an array, as names in the gate


def compiled(kernel: Any) -> tuple[str, Any]:
    """The source of a kernel's gate, and the function."""
    writer = _Writer(kernel)
    source, name = writer.source(), f"<gate of {kernel.name}>"
    linecache.cache[name] = len(source), None, source.splitlines(keepends=True), name
    exec(compile(source, name, "exec"), writer.scope)
    return source, writer.scope[kernel.name]


class _Writer:
    """The lines of one gate, and what its names stand for."""

    def __init__(self, kernel: Any) -> None:
        self.kernel, self.contract, self.lines = kernel, kernel.contract, []
        self.scope: dict[str, Any] = {
            **vars(arguments), **vars(native), "kernel": kernel, "ndarray": ndarray, "Operand": Operand,
            "empty": empty, "without_gaps": _without_gaps, "lying_like": _lying_like, "pack": kernel.packer,
            "run": kernel.call,
            **{f.__name__: partial(f, kernel) for f in (otherwise, specified, recall, failed)}}
        c = self.contract
        self.packed = c.packed
        self.own_pack = bool(self.packed) and (c.arrays[self.packed].many or bool(c.others))
        self.arrays = [k for k in c.arrays.values() if k.name not in (self.packed, *c.others)]
        self.recalled = [k for k in self.arrays
                         if self.packed and kernel.planner and (k.optional or k.number)]
        self.fixed = [k for k in self.arrays if k not in self.recalled and not k.optional]
        self.over = next((name for name in c.parameters if name.startswith("overwrite_")), "")
        self.given = ", ".join(c.parameters)
        self.otherwise = f"return otherwise({self.given}{', out' * c.out})"
        self.many = not isinstance(kernel.call, str)    # several calls of C, in a function of the kernel's
        self.run = names_of(kernel.call)[1:] if kernel.call and self.many else ()

    def say(self, *lines: str) -> None:
        """Add lines to the body of the function."""
        self.lines += (f"    {line}" for line in lines)

    def source(self) -> str:
        """All of it."""
        if not self.kernel.call:
            self.say(f"{self.otherwise}    # there is no C for it")
        elif any(k.many for k in self.arrays):
            self.say(f"return run(kernel.choice, {self.given})    # which looks at arrays by the list")
        else:
            self.usual()
            self.sizes()
            if any(k.dims is None for k in self.fixed):
                self.of_any_shape()
            else:
                self.planned()
                self.room()
                self.to_c()
        return "\n".join([f"def {self.kernel.name}({self.signature()}):", *self.lines]) + "\n"

    def signature(self) -> str:
        """The parameters with their defaults: those of the reference, and `out`."""
        reference, c = self.kernel.reference, self.contract
        positional = c.parameters[:c.positional]
        defaults = dict(zip(positional[::-1], (reference.__defaults__ or ())[::-1], strict=False))
        defaults |= {**(reference.__kwdefaults__ or {}), **dict.fromkeys((*c.others, "out"))}
        parts = [f"{name}={defaults[name]!r}" if name in defaults else name
                 for name in (*c.parameters, *(["out"] * c.out))]
        if len(parts) > c.positional:
            parts.insert(c.positional, "*")
        return ", ".join(parts)

    def dtype(self, k: Kind) -> str:
        """The name in the gate of the dtype that mostly comes."""
        self.scope[k.usual.name] = k.usual
        return k.usual.name

    def unusual(self, k: Kind) -> str:
        """A test whether an array is not as most are."""
        taken = k.dtypes[:k.native]
        self.scope |= {d.name: d for d in taken}
        test = " and ".join(f"{k.name}.dtype is not {d.name}" for d in taken)
        test = f"type({k.name}) is not ndarray or " + (test if len(taken) == 1 else f"({test})")
        return test if k.rank is None else f"{test} or {k.name}.ndim != {k.rank}"

    def usual(self) -> None:
        """What is not usual leaves here."""
        c, tests = self.contract, []
        self.say("choice = kernel.choice")
        for k in self.arrays:
            if k not in self.recalled:
                test = self.unusual(k)
                tests.append(f"({k.name} is not None and ({test}))" if k.optional else test)
        if self.packed:
            self.say(f"packed = type({self.packed}) is Operand")
            more = (f"{name} is not None" for name in c.others)
            foreign = " or ".join([f"{self.packed}.kernel is not kernel", *more])
            tests.append(f"packed and ({foreign})" if self.own_pack else
                         f"({foreign} if packed else {self.unusual(c.arrays[self.packed])})")
        self.say("if (choice == NUMPY", *(f"        or {test}" for test in tests))
        self.lines[-1] += "):"
        self.say(f"    {self.otherwise}")
        if self.own_pack:    # several arrays, which the kernel's `pack` looks at
            arrays = ", ".join((self.packed, *c.others))
            self.say("if not packed:", f"    given = ({arrays},)",
                     f"    {self.packed} = pack({self.kernel.name!r}, {self.arrays[0].name}, {arrays})")

    def sizes(self) -> None:
        """The sizes of axes, and that equal names are of equal size. (Where a plan gives the result's shape,
        that was looked at when it was made.)"""
        c, known = self.contract, {}
        for name, dims in ({} if c.shaped_by_plan else c.shaped).items():
            k = c.arrays[name]
            if k in self.recalled:
                continue
            here = ["_" if not d.isidentifier() else d if d not in known else f"{d}_of_{name}" for d in dims]
            if not k.optional:
                self.say(f"{', '.join(here)}{',' * (len(here) == 1)} = {name}.shape")
            for dim, local in zip(dims, here, strict=True):
                if dim in known:
                    there = f"{name} is not None and len({name})" if k.optional else local
                    self.differ(f"{there} != {dim}", dim, known[dim], name)
                elif dim.isidentifier():
                    known[dim] = name
        first, *others = (k.name for k in self.fixed)
        for other in others if self.contract.arrays[first].dims is None else ():
            self.differ(f"{other}.shape != {first}.shape", "shape", first, other)

    def differ(self, test: str, dim: str, a: str, b: str) -> None:
        self.say(f"if {test}:",
                 f"    raise disagree({self.kernel.name!r}, {dim!r}, {a!r}, {a}.shape, {b!r}, {b}.shape)")

    def planned(self) -> None:
        """The plan of the call: what the operand remembers, if it was made for this; or one of those kept."""
        kernel = self.kernel
        if not kernel.planner:
            return
        found = ", ".join(["plan", *(f"{k.name}_c" for k in kernel.pointed)])
        asked = ", ".join(kernel.asked)
        if not self.packed:
            self.say(f"{found}, = recall(None, {asked})")
            if kernel.takes:
                self.say(f"if not {kernel.takes}:",
                         f"    return specified({self.given}{', out' * self.contract.out})")
            return
        remembered = [name for name in kernel.asked if name != f"{self.packed}.shape"]
        mine = [f"of_{name.replace('.', '_')}" for name in remembered]
        differ = [f"{a} != {b}" if b.endswith(".shape") else f"{a} is not {b}"
                  for a, b in zip(mine, remembered, strict=True)]
        self.say("if packed:", f"    {found}, {', '.join(mine)} = {self.packed}._last",
                 f"if not packed or ({differ[0]}", *(f"        or {test}" for test in differ[1:]))
        self.lines[-1] += "):"
        self.say(f"    found = recall({self.packed} if packed else None, {asked})", "    if found is None:",
                 f"        {self.otherwise}", f"    {found}{',' * (found == 'plan')} = found")

    def shape(self, k: Kind) -> str:
        """The shape of a result, as an expression."""
        if self.contract.shaped_by_plan:
            return "plan.shape"
        return f"({', '.join(k.dims)}{',' * (len(k.dims) == 1)})"

    def made(self, name: str, shape: str, dtype: str) -> list[str]:
        """Lines that make an array for a result."""
        return ["try:", f"    {name} = empty({shape}, {dtype})", "except (MemoryError, ValueError) as error:",
                f"    raise no_room({self.kernel.name!r}, {shape}, error) from None"]

    def room(self) -> None:
        """Whether C can take everything as it lies, and where the results go."""
        self.say(f"ready = {' & '.join(f'{k.name}.flags.num' for k in self.fixed)} & READABLE == READABLE")
        if self.many and "out" not in self.run:
            return
        if not self.contract.out:
            for k in self.contract.results:
                self.room_for(k)
            return
        (k,) = self.contract.results
        dtype, shape = self.dtype(k) if k.native == 1 else "plan.dtype", self.shape(k)
        self.say("if out is None:", *(f"    {line}" for line in self.made("result", shape, dtype)))
        inputs = ", ".join(k.name for k in self.arrays)
        if self.packed and not self.many:
            self.say(f"elif (packed and ready and type(out) is ndarray and out.dtype is {dtype}",
                     f"      and out.shape == {shape} and out.flags.num & WRITABLE == WRITABLE):",
                     "    result = out    # whether it overlaps an input C sees")
        if self.own_pack:
            inputs += f", *(() if packed else given{'[0]' * self.contract.arrays[self.packed].many})"
        elif self.packed:
            inputs += f", {self.packed}"
        self.say("else:", f"    result = output({self.kernel.name!r}, out, {shape}, {dtype}, {inputs})",
                 "    ready = ready and result.flags.num & WRITABLE == WRITABLE")

    def room_for(self, k: Kind) -> None:
        """One of several results. One with the name of an argument is made where that is true; the first may
        go where the argument is that may be overwritten."""
        lines = self.made(f"{k.name}_", self.shape(k), self.dtype(k))
        if self.over and k is self.contract.results[0]:
            into = self.over.removeprefix("overwrite_")
            lines = [f"if {self.over} and ready and {into}.flags.writeable:", f"    {k.name}_ = {into}",
                     "else:", *(f"    {line}" for line in lines)]
        if k.name in self.contract.parameters:
            lines = [f"{k.name}_ = None", f"if {k.name}:", *(f"    {line}" for line in lines)]
        self.say(*lines)

    def to_c(self) -> None:
        """The call, and what comes of it."""
        kernel, c, result = self.kernel, self.contract, self.contract.results[0]
        if self.packed and not self.own_pack and not kernel.unpacked:
            self.say("if not packed:",
                     f"    {self.packed} = pack({', '.join((self.packed, *kernel.packed_with))})")
        into_place = [f"{k.name} = {'dense' if k.reading == 'dense' else 'adjacent'}({k.name})"
                      for k in self.fixed if k.reading != "strided"]
        if self.many:
            named = ", ".join("result" if name == "out" else name for name in self.run)
            self.say("if not ready:", *(f"    {line}" for line in into_place),
                     *([f"run(choice, {named})", "return result if out is None else out"] if "out" in self.run
                       else [f"return run(choice, {named})"]))
            return
        copied = c.out and result.reading == "dense"
        if copied:
            self.say("into = None")
            into_place += ["if result.flags.num & WRITABLE != WRITABLE:",
                           "    into, result = result, empty(result.shape, result.dtype)"]
        told = [self.told(k, k.name, k.name) for k in self.fixed]
        told += [self.told(k, k.name, "result" if c.out else f"{k.name}_")
                 for k in c.results if k.name not in c.parameters]
        names, ready, other = (", ".join(column) for column in zip(*told, strict=True))
        self.say("if ready:", f"    {names} = {ready}", "else:", *(f"    {line}" for line in into_place),
                 f"    {names} = {other}")
        lying = [k.name for k in self.fixed if k.reading == "pixels"]
        if lying:
            lying += ["result"] * (c.out and result.reading == "pixels")
            self.say(f"    plan = plan.lying({', '.join(f'{name}.strides' for name in lying)})")
        for k in (*self.arrays, *c.results):
            if k.optional and k not in self.recalled:
                self.say(f"{k.name}_c = NULL if {k.name} is None else from_buffer(dense({k.name}))")
            elif k in c.results and k.name in c.parameters:
                self.say(f"{k.name}_c = NULL if {k.name}_ is None else from_buffer({k.name}_)")
        call = f"status = {self.call(kernel.call)}"
        if not kernel.unpacked:
            self.say(call)
        else:
            self.say("if packed:", f"    {call}", "else:")
            if c.arrays[self.packed].reading != "strided":
                self.say(f"    {self.packed} = dense({self.packed})")
            self.say(f"    status = {self.call(kernel.unpacked)}")
        self.say("if status:", f"    failed(status, {self.given})")
        if copied:
            self.say("if into is not None:", "    into[...] = result")
        self.say("return result if out is None else out" if c.out else
                 f"return {', '.join(f'{k.name}_' for k in c.results)}")

    def told(self, k: Kind, label: str, array: str) -> tuple[str, str, str]:
        """What C is told of an array: names in the gate, what they are when it is ready, and when not."""
        names = ", ".join(form.format(label) for form in _TOLD[k.reading])
        last = k.dims[-1] if not self.contract.shaped_by_plan else f"{array}.shape[-1]"
        ready = {"rows": f", {last}", "strided": f", {last}, 1"}.get(k.reading, "")
        how = k.reading if k.reading in ("rows", "strided") else "pointer"
        other = f"{'*' * (how != 'pointer')}{how}({array})"
        return names, f"from_buffer({array}){ready}", other

    def call(self, text: str) -> str:
        """The text of a C call with what the gate calls its arguments."""
        function, arguments = self.parsed(text)
        kinds = {k.name: k for k in (*self.arrays, *self.contract.results)}
        said = ["choice"]
        for one in arguments:
            k = kinds.get(one)
            if one == self.packed:
                strided_ = self.contract.arrays[one].reading == "strided"
                said.append(f"*strided({one})" if strided_ else f"from_buffer({one})")
            elif k is None:
                said.append(one)
            else:
                said += (form.format(one) for form in _TOLD["dense" if k.optional else k.reading])
        return f"{function}({', '.join(said)})"

    def parsed(self, text: str) -> tuple[str, list[str]]:
        """The function of a C call, which the gate gets to know, and its arguments."""
        function, arguments = re.fullmatch(r"(\w+)\((.*)\)", text).groups()
        self.scope[function] = getattr(native.lib, function, None)
        return function, arguments.split(", ")

    def of_any_shape(self) -> None:
        """Arrays of any shape, number by number; the result lies in memory as the last of them does."""
        names, who = [k.name for k in self.fixed], repr(self.kernel.name)
        first, base, dtype = names[0], names[-1], self.dtype(self.contract.results[0])
        over = f"{first} if {self.over} and {first}.flags.writeable else " if self.over else ""
        self.say(f"ready = {' & '.join(f'{name}.flags.num' for name in names)} & READABLE == READABLE",
                 "if out is not None:",
                 f"    result = output({who}, out, {base}.shape, {dtype}, {', '.join(names)})",
                 "    if not ready or result.flags.num & WRITABLE != WRITABLE:",
                 f"        result[...] = kernel({', '.join(names)})", "        return out",
                 "elif ready:", f"    result = {over}empty({base}.shape, {dtype})",
                 "else:", f"    {base}, result = without_gaps({base})",
                 *(f"    {name} = lying_like({name}, {base})" for name in names[:-1]))
        if over:
            self.say(f"    result = {over}result")
        function, arguments = self.parsed(self.kernel.call)
        for test, how in (("if ready:", "from_buffer"), ("else:", "pointer")):
            said = [f"{how}({'result' if one == 'out' else one})" if one in (*names, "out") else one
                    for one in arguments]
            self.say(test, f"    {function}(choice, {', '.join(said)})")
        self.say("return result if out is None else out")


def _without_gaps(x: ndarray) -> tuple[ndarray, ndarray]:
    """x as an array without gaps whose axes lie in any order, and an empty array that lies like it."""
    out = empty_like(x, subok=False)
    if x.strides != out.strides or not x.flags.aligned:
        x = x.copy(order="K")
        out = empty_like(x)
    return x, out


def _lying_like(g: ndarray, x: ndarray) -> ndarray:
    """g, lying in memory as x does."""
    if g.strides == x.strides and g.flags.aligned:
        return g
    same = empty_like(x)
    same[...] = g
    return same
