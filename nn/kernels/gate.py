"""The gate of a kernel: the function that is called. Its source is written here from the kernel's contract.

A gate looks at what is usual (plain arrays of the right dtype and rank, C there) in as few steps as it takes;
everything else goes to `otherwise` (calling.py), which says what is wrong, or makes it usual, or runs the
specification. Then come sizes, plan, room for the result, and the one C call, whose text is the kernel's:

    "nn_gemm(M, N, K, a, b.c, out)"

There an array's name becomes its address and what C must know of its strides, and the name of an axis is
its size; plan, the operand's `c` and attributes are themselves. `kernel.gate` shows the result, and debuggers
step into it like into any other file.

The same lines, but for the last, are `kernel.prepare`: what it returns makes only the C call.
"""

import linecache
import re
from functools import partial
from typing import Any

from numpy import empty, may_share_memory, ndarray

from . import arguments, native
from .calling import failed, otherwise, reads_anew, recall
from .contract import Kind, in_brackets, names_of
from .operand import Operand

# What C is told of an array: names in the gate; what they are where it has no gaps, {1} being the size of its
# last axis; what they are elsewhere; and what it is made there first.
_TOLD = {"dense": ("{0}_c", "from_buffer({0})", "pointer({0})", "dense({0})"),
         "pixels": ("{0}_c", "from_buffer({0})", "pointer({0})", "adjacent({0})"),
         "rows": ("{0}_c, {0}_row", "from_buffer({0}), {1}", "*rows({0})", "adjacent({0})"),
         "strided": ("{0}_c, {0}_row, {0}_column", "from_buffer({0}), {1}, 1", "*strided({0})", "")}


def compiled(kernel: Any, prepares: bool = False) -> tuple[str, Any]:
    """The source of a kernel's gate, and the function; or of its `prepare`."""
    writer = _Writer(kernel, prepares)
    source, name = writer.source(), f"<{'prepare' if prepares else 'gate'} of {kernel.name}>"
    linecache.cache[name] = len(source), None, source.splitlines(keepends=True), name
    exec(compile(source, name, "exec"), writer.scope)
    return source, writer.scope[kernel.name]


def _if(tests: list[str]) -> str:
    """The first lines of a block that is for calls of which one of these is true."""
    return "if (" + "\n            or ".join(tests) + "):"


def _under(head: str, lines: list[str]) -> list[str]:
    """The lines of a block."""
    return [head, *(f"    {line}" for line in lines)]


class _Writer:
    """The lines of one gate, and what its names stand for."""

    def __init__(self, kernel: Any, prepares: bool = False) -> None:
        self.kernel, self.lines, self.prepares = kernel, [], prepares
        self.contract = c = kernel.contract
        self.scope: dict[str, Any] = {
            **vars(arguments), **vars(native), "kernel": kernel, "ndarray": ndarray, "Operand": Operand,
            "empty": empty, "may_share_memory": may_share_memory, "partial": partial, "pack": kernel.packer,
            "run": kernel.call, "reads_anew": reads_anew,
            **{f.__name__: partial(f, kernel) for f in (otherwise, recall, failed)}}
        self.packed = c.packed
        self.arrays = [k for k in c.alone if not (k.optional or k.number)]  # `recall` looks at the others
        self.whole = [k.name for k in self.arrays if k.dims is None]  # read number by number
        self.over = next((name for name in c.parameters if name.startswith("overwrite_")), "")
        self.into = self.over.removeprefix("overwrite_")
        self.locals = {k.name: k.name for k in self.arrays} | {
            k.name: "result" if c.out else f"{k.name}_" for k in c.results}
        self.given = ", ".join(c.parameters)
        self.again = ", ".join(name if i < c.positional else f"{name}={name}"
                               for i, name in enumerate(c.parameters) if name != self.over)
        self.many = not isinstance(kernel.call, str)  # several calls of C, in a function of the kernel's
        self.run = names_of(kernel.call)[1:] if kernel.call and self.many else ()

    def say(self, *lines: str) -> None:
        """Add lines to the body of the function."""
        self.lines += (f"    {line}" for line in lines)

    def otherwise(self, more: str = "") -> str:
        """A call that is not usual leaves here."""
        out = ", out" * self.contract.out
        return "return plainly" if self.prepares else f"return otherwise({self.given}{out}{more})"

    def source(self) -> str:
        """All of it."""
        if self.prepares:
            self.say(f"plainly = partial(kernel, {self.again}{', out=out' * self.contract.out})")
        if not self.kernel.call or (self.prepares and (self.many or not self.contract.out)):
            self.say(f"{self.otherwise()}    # there is no one call of C for it")
        elif any(k.many for k in self.arrays):
            self.say(f"return run(kernel.choice, {self.given})    # which looks at arrays by the list")
        else:
            self.usual()
            self.sizes()
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

    def unusual(self, k: Kind) -> str:
        """A test whether an array is not as most are."""
        taken = k.dtypes[:k.native]
        self.scope |= {d.name: d for d in taken}
        test = " and ".join(f"{k.name}.dtype is not {d.name}" for d in taken)
        test = f"type({k.name}) is not ndarray or " + (test if len(taken) == 1 else f"({test})")
        return test if k.rank is None else f"{test} or {k.name}.ndim != {k.rank}"

    def usual(self) -> None:
        """What is not usual leaves here."""
        c, tests = self.contract, [self.unusual(k) for k in self.arrays]
        self.say("choice = kernel.choice")
        if self.packed:
            self.say(f"packed = type({self.packed}) is Operand")
            foreign = " or ".join([f"{self.packed}.kernel is not kernel",
                                   *(f"{name} is not None" for name in c.others)])
            tests.append(f"packed and ({foreign})" if c.looked_at else
                         f"({foreign} if packed else {self.unusual(c.arrays[self.packed])})")
        self.say(*_under(_if(["choice <= NUMPY", *tests]), [self.otherwise()]))
        if c.looked_at:  # several arrays, which the kernel's `pack` looks at
            arrays = ", ".join((self.packed, *c.others))
            self.say("if not packed:", f"    given = ({arrays},)",
                     f"    {self.packed} = pack({self.kernel.name!r}, {self.arrays[0].name}, {arrays})",
                     *[f"    {' = '.join(c.others)} = None    # which the operand has"] * bool(c.others))

    def sizes(self) -> None:
        """The sizes of axes, and that equal names are of equal size. (Where a plan gives the result's shape,
        that was looked at when it was made.)"""
        c, known, looked = self.contract, {}, [*self.locals, self.packed]
        for name, dims in ({} if c.shaped_by_plan else c.shaped).items():
            if name not in looked:
                continue
            here = ["_" if not d.isidentifier() else d if d not in known else f"{d}_of_{name}" for d in dims]
            self.say(f"{in_brackets(here)} = {name}.shape")
            for dim, local in zip(dims, here, strict=True):
                if dim in known:
                    self.differ(f"{local} != {dim}", dim, known[dim], name)
                elif dim.isidentifier():
                    known[dim] = name
        for other in self.whole[1:]:
            self.differ(f"{other}.shape != {self.whole[0]}.shape", "shape", self.whole[0], other)

    def differ(self, test: str, dim: str, a: str, b: str) -> None:
        self.say(f"if {test}:",
                 f"    raise disagree({self.kernel.name!r}, {dim!r}, {a!r}, {a}.shape, {b!r}, {b}.shape)")

    def planned(self) -> None:
        """The plan of the call: what the operand remembers, if it was made for this; or one of those kept."""
        kernel, operand = self.kernel, f"{self.packed} if packed else None" if self.packed else "None"
        if not kernel.planner:
            return
        found = ", ".join(["plan", *(f"{name}_c" for name in kernel.pointed)])
        lines = [f"found = recall({operand}, {', '.join(kernel.asked)})",
                 *_under("if found is None:", [self.otherwise()]), f"{found}, = found"]
        if self.packed:
            remembered = kernel.asked[1:]  # without the operand's own shape
            mine = [f"of_{name.replace('.', '_')}" for name in remembered]
            differ = [f"{a} != {b}" if b.endswith(".shape") else f"{a} is not {b}"
                      for a, b in zip(mine, remembered, strict=True)]
            self.say("if packed:", f"    {found}, {', '.join(mine)} = {self.packed}._last")
            lines = _under(_if(["not packed", *differ]), lines)
        self.say(*lines)
        if not self.many and not self.packed and "plan.c" in kernel.call:
            self.say("if plan.c is None:", f"    {self.otherwise(', by_c=False')}")

    def room(self) -> None:
        """Whether C can take everything as it lies, and where the results go."""
        c = self.contract
        self.say(f"ready = {' & '.join(f'{k.name}.flags.num' for k in self.arrays)} & READABLE == READABLE")
        if self.many and "out" not in self.run:
            return
        for k in c.results:
            self.say(*self.room_for(k, self.locals[k.name]))

    def room_for(self, k: Kind, local: str) -> list[str]:
        """Where one result goes. One with the name of an argument is made where that is true; the first may
        go where the argument is that may be overwritten."""
        who, c = self.kernel.name, self.contract
        shape = (f"{self.whole[-1]}.shape" if k.dims is None else
                 "plan.shape" if c.shaped_by_plan else in_brackets(k.dims))
        dtype = k.usual.name if k.native == 1 else "plan.dtype"
        self.scope[k.usual.name] = k.usual
        lines = [*_under("try:", [f"{local} = empty({shape}, {dtype})"]),
                 *_under("except (MemoryError, ValueError) as error:",
                         [f"raise no_room({who!r}, {shape}, error) from None"])]
        if self.over and k is c.results[0]:
            lines = [*_under(f"if {self.over} and ready and {self.into}.flags.writeable:",
                             [f"{local} = {self.into}"]), *_under("else:", lines)]
        if k.name in c.parameters:
            lines = [f"{local} = None", *_under(f"if {k.name}:", lines)]
        if not c.out:
            return lines
        lines = _under(f"if out is None{' and ready' if self.whole else ''}:", lines)
        if not self.many:
            plain = [f"ready and type(out) is ndarray and out.dtype is {dtype}",
                     f"      and out.shape == {shape} and out.flags.num & WRITABLE == WRITABLE"]
            if self.packed:
                copied = [f"      and type({k.name}) is not ndarray"  # by the plan: C sees the copy
                          for k in c.alone if k.number and k.dtypes == arguments.INTEGERS]
                *more, last = plain[1], *copied
                lines += [f"elif (packed and {plain[0]}", *more, f"{last}):",
                          "    result = out    # whether it overlaps an input C sees"]
            elif len(self.arrays) == len(c.arrays):
                apart = " and ".join(f"not may_share_memory({k.name}, out)" for k in self.arrays)
                lines += [f"elif ({plain[0]}", plain[1], f"      and {apart}):", "    result = out"]
        inputs = ", ".join(k.name for k in (c.alone if c.looked_at else c.arrays.values()))
        if c.looked_at:
            inputs += f", *(() if packed else given{'[0]' * c.arrays[self.packed].many})"
        return [*lines, *_under("elif out is not None:" if self.whole else "else:", [
            f"result = output({who!r}, out, {shape}, {dtype}, {inputs})",
            "ready = ready and result.flags.num & WRITABLE == WRITABLE"])]

    def to_c(self) -> None:
        """The call, and what comes of it."""
        kernel, c = self.kernel, self.contract
        if self.prepares:
            self.once_for_all()
            return
        if self.packed and not c.looked_at and not kernel.unpacked:
            self.say("if not packed:",
                     f"    {self.packed} = pack({', '.join((self.packed, *kernel.packed_with))})")
        if self.many:
            run = f"run(choice, {', '.join(self.locals.get(name, name) for name in self.run)})"
            self.say(*_under("if not ready:", self.made_ready()))
            if "out" not in self.run:
                self.say(f"return {run}")
                return
            self.say(run)
        else:
            told = [k for k in (*self.arrays, *c.results) if k.name not in c.parameters or k in self.arrays]
            names, ready, other = (", ".join(self.told(k)[i] for k in told) for i in range(3))
            self.say("if ready:", f"    {names} = {ready}",
                     *_under("else:", [*self.made_ready(), f"{names} = {other}"]))
            distances = [f"{self.locals[k.name]}.strides" for k in told if k.reading == "pixels"]
            if distances:
                self.say(f"    plan = plan.lying({', '.join(distances)})")
            self.say(*(f"{k.name}_c = NULL if {k.name}_ is None else from_buffer({k.name}_)"
                       for k in c.results if k not in told))
            call = "status = {}(choice, {})"
            if kernel.unpacked:
                dense = [f"{self.packed} = dense({self.packed})"] * (c.arrays[self.packed].reading == "dense")
                self.say("if packed:", f"    {call.format(*self.call(kernel.call))}",
                         *_under("else:", [*dense, call.format(*self.call(kernel.unpacked))]))
            else:
                self.say(call.format(*self.call(kernel.call)))
            self.say("if status:", f"    failed(status, {self.given})")
        self.say("return result if out is None else out" if c.out else
                 f"return {', '.join(self.locals[k.name] for k in c.results)}")

    def once_for_all(self) -> None:
        """A function that makes the C call on these arrays, whose memory it keeps."""
        kernel, c = self.kernel, self.contract
        told = [*self.arrays, *c.results]
        names, ready = (", ".join(self.told(one)[i] for one in told) for i in range(2))
        function, arguments = self.call(kernel.call)
        copied = []  # of what some array held when the plan was made
        if kernel.planner:
            copied = [f"not reads_anew({', '.join(['plan', *(x for x in kernel.asked if '.' not in x)])})"]
        self.say(*_under(_if(["not ready", "out is None", *(["not packed"] if self.packed else []), *copied]),
                         ["return plainly"]),
                 f"{names} = {ready}", f"given = ({arguments},)",
                 *_under(f"def again(kept={'plan' if kernel.planner else None}):", [
                     "choice = kernel.choice", *_under("if choice <= NUMPY:", ["return plainly()"]),
                     f"status = {function}(choice, *given)",
                     *_under("if status:", [f"failed(status, {self.given})"]), "return out"]),
                 "return again")

    def made_ready(self) -> list[str]:
        """What is done where C can't take everything as it lies."""
        c = self.contract
        if self.whole:  # the result lies in memory as the last of them does, if axes may lie in any order
            *others, base = self.whole
            dtype = c.results[0].usual.name
            lines = [*([f"{base} = dense({base})", f"result = empty({base}.shape, {dtype})"]
                       if c.arrays[base].last else [f"{base}, result = without_gaps({base}, {dtype})"]),
                     *(f"{name} = lying_like({name}, {base})" for name in others)]
            if self.over:
                lines += _under(f"if {self.over} and {self.into}.flags.writeable:", [f"result = {self.into}"])
        else:
            lines = [f"{k.name} = {how.format(k.name)}" for k in self.arrays if (how := _TOLD[k.reading][3])]
        if c.out and c.results[0].reading == "dense" and not self.many:
            lines = [*_under("if out is not None:", [f"result[...] = kernel({self.again})", "return out"]),
                     *lines]
        return lines

    def told(self, k: Kind) -> list[str]:
        """What C is told of an array: names in the gate, what they are when it is ready, and when not."""
        local = self.locals[k.name]
        last = f"{local}.shape[-1]" if self.contract.shaped_by_plan or not k.dims else k.dims[-1]
        names, ready, other, _ = _TOLD[k.reading]
        return [names.format(k.name), ready.format(local, last), other.format(local)]

    def call(self, text: str) -> tuple[str, str]:
        """The function of a C call, and its arguments by the names that they have in the gate."""
        function, arguments = re.fullmatch(r"(\w+)\((.*)\)", text).groups()
        self.scope[function] = getattr(native.lib, function, None)
        kinds = {k.name: k for k in (*self.arrays, *self.contract.results)}
        said = []
        for one in arguments.split(", "):
            if one == self.packed:
                strided = self.contract.arrays[one].reading == "strided"
                said.append(f"*strided({one})" if strided else f"from_buffer({one})")
            elif one in kinds:
                said.append(_TOLD[kinds[one].reading][0].format(one))
            else:
                said.append(f"{one}_c" if one in self.kernel.pointed else one)
        return function, ", ".join(said)
