"""A kernel in C as a function of Python with the kernel's own arguments.

Arguments are made into what the signature says (signature.py), each call runs in another process (host.py),
and what goes wrong there is said here in words: which argument, which byte.
"""

from __future__ import annotations

import inspect
import signal
import struct
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...geometry import both
from ...kernels import Kernel
from ...kernels.contract import Kind
from . import host as process
from .building import Library, build
from .header import function_name
from .host import Answer, GoneError, Host
from .signature import TYPES, Parameter, signature

SIGNALS = {signal.SIGFPE: "an integer is divided by 0 (or INT_MIN by −1)",
           signal.SIGILL: "it has an instruction that this CPU does not know",
           signal.SIGABRT: "it was aborted: an assertion failed, or malloc found its memory damaged",
           signal.SIGXFSZ: "it prints more than a megabyte"}


class KernelError(AssertionError):
    """The kernel crashed, hung, left its memory or returned something else than 0, which is its `code`."""

    code = 0


class Call(NamedTuple):
    """The arguments of one call: those of C, those written, and what Python's caller gets."""

    values: list[Any]             # a number, bytes of a text, an array, a list of arrays, or None
    written: list[np.ndarray]     # what C writes, in the order of the parameters
    results: tuple[Any, ...]      # the results, None for one that is not wanted
    copied: list[tuple[np.ndarray, np.ndarray]]  # what was written in place: the caller's, and C's
    size: np.ndarray | None       # how many numbers of the one result there are, where C says that


class Arguments:
    """Makes calls of a kernel with Python's arguments into calls of its signature."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.contract, self.parameters = kernel, kernel.contract, signature(kernel)
        self.bind = inspect.signature(kernel.reference).bind

    def __call__(self, *args: Any, **options: Any) -> Call:
        """The call in C for these arguments; results are new arrays. Raises as the kernel does for arguments
        whose shapes do not agree."""
        bound = self.bind(*args, **options)
        bound.apply_defaults()
        given, c = dict(bound.arguments), self.contract
        for name in c.arrays:
            if isinstance(given[name], np.ndarray) and given[name].ndim:
                given[name] = np.ascontiguousarray(given[name])
        sizes, plan = self._sizes(given)
        results = {k.name: self._result(k, given, sizes, plan) for k in c.results}
        values, written, copied, size = [], [], [], None
        for p in self.parameters:
            value = self._value(p, given, sizes, results)
            values.append(value)
            if p.role in ("result", "size written") and value is not None:
                written.append(value)
                size = value if p.role == "size written" else size
            elif p.role == "list" and not p.type.startswith("const"):
                written += value
                copied += zip(given[p.source], value, strict=True)
        return Call(values, written, tuple(results.values()), copied, size)

    def _sizes(self, given: dict[str, Any]) -> tuple[dict[str, int], Any]:
        """The sizes of axes, and the plan of the call, as the kernel itself has them."""
        kernel, c = self.kernel, self.contract
        shapes = {name: given[name].shape for name, k in c.arrays.items()
                  if isinstance(given[name], np.ndarray) and given[name].ndim}
        if c.looked_at:
            first, found = next(iter(given.values())), shapes.get(c.packed, ())
            packed = kernel.packer(kernel.name, first, *(given[name] for name in (c.packed, *c.others)))
            shapes[c.packed] = packed.shape
            given = {**given, c.packed: packed}
        sizes = c.agree(kernel.name, shapes)
        for name in c.others:
            sizes |= zip(c.arrays[name].dims, shapes.get(name, ()), strict=name in shapes)
        if c.looked_at and not c.arrays[c.packed].many:
            sizes |= zip(c.arrays[c.packed].dims, found, strict=True)
        for k in c.arrays.values():
            if k.last:
                sizes[k.last] = given[k.name].shape[-1] if given[k.name].ndim else 1
        plan = None
        if kernel.planner:
            asked = [getattr(given[name], what) if what else given[name] for name, _, what in kernel.asks]
            plan = kernel.planner(**dict(zip(kernel.named, asked, strict=False)))
        for k in c.results:
            if c.shaped_by_plan and hasattr(plan, "shape"):
                sizes |= zip(k.dims, plan.shape, strict=True)
        return sizes, plan

    def _result(self, k: Kind, given: dict[str, Any], sizes: dict[str, int], plan: Any) -> np.ndarray | None:
        if given.get(k.name, True) is False:
            return None
        if k.dims is None:
            shape = given[self.contract.whole[-1]].shape
        else:
            shape = tuple(int(given[dim]) if dim in given else int(dim) if dim.isdecimal() else sizes[dim]
                          for dim in k.dims)
        return np.empty(shape, k.usual if k.native == 1 else plan.dtype)

    def _value(self, p: Parameter, given: dict[str, Any], sizes: dict[str, int], results: dict[str, Any]
               ) -> Any:
        """What C gets for one parameter."""
        x = results[p.source] if p.role.endswith("result") else given.get(p.source)
        if p.role == "axis":
            return sizes.get(p.source, 0)  # none: of an array that is None
        if p.role == "size written":
            return np.full(1, -1, np.int64)
        if p.role == "size":
            return given[p.source].size
        if p.role in ("type of array", "type of result"):
            return 0 if x is None else list(TYPES).index(x.dtype.str[1:])
        if p.role == "count":
            return len(x)
        if p.role == "shapes":
            return np.array([a.shape for a in x], np.int64)
        if p.role == "sizes":
            return np.array([a.size for a in x], np.int64)
        if p.role == "list":
            return [np.array(a, p.dtype, order="C") for a in x]
        if p.role == "vector" and x is not None and not np.ndim(x):
            dim, = self.contract.arrays[p.source].dims
            return np.full(sizes[dim], x, p.dtype)
        if p.role in ("array", "vector"):
            return None if x is None else np.ascontiguousarray(x, p.dtype)
        if p.role == "integers":
            return np.array(x, np.int64)
        if p.role == "ends":
            ends = np.iinfo(next(iter(results.values())).dtype)
            return int((ends.min, ends.max)[p.part] if x is None else x[p.part])
        if p.role == "pair":
            return both(x)[p.part]
        if p.role == "part":
            return float(x[p.part])
        if p.role == "attribute":
            return np.frombuffer(x.encode() + b"\0", np.uint8) if isinstance(x, str) else (
                float(x) if p.type == "double" else int(x))
        return x


class InC:
    """A function with the kernel's arguments that runs somebody's C file, which is never trusted: it gets
    copies, in a process of its own.

    Raises KernelError where the kernel crashes, takes longer than `host.seconds` of CPU time, touches memory
    that is no argument, writes into one that is const, or returns something else than 0. at_start: arrays
    begin at memory that may not be touched, instead of ending there.
    """

    def __init__(self, kernel: Kernel, library: Library, name: str = "", seconds: float = 1.0) -> None:
        self.kernel, self.__name__ = kernel, name or kernel.name
        self.host, self.arguments, self.at_start = Host(library, seconds), Arguments(kernel), False
        self.last: Call | None = None

    def __call__(self, *args: Any, **options: Any) -> Any:
        call = self.last = self.arguments(*args, **options)
        sent = [self._sent(p, value) for p, value in zip(self.arguments.parameters, call.values, strict=True)]
        try:
            answer, data = self.host.call(sent, self.at_start)
        except GoneError as error:
            raise KernelError(str(error)) from None
        if answer.what != process.RETURNED:
            raise KernelError(self._words(answer, call))
        if answer.code:
            printed = self.host.last_line()
            error = KernelError(f"it returned {answer.code}, wanted 0{': ' * bool(printed)}{printed}")
            error.code = answer.code
            raise error
        at = 0
        for array in call.written:
            array[...] = np.frombuffer(data, array.dtype, array.size, at).reshape(array.shape)
            at += array.nbytes
        for own, copy in call.copied:
            own[...] = copy
        if len(call.results) == 1:
            return call.results[0] if call.size is None else self._written(call.results[0], int(call.size[0]))
        return call.results or None

    def _written(self, room: np.ndarray, size: int) -> np.ndarray:
        """The result that there is in its room."""
        if not 0 <= size <= len(room):
            raise KernelError(f"it says that {size} numbers were written, wanted 0 to {len(room)}")
        return room[:size].copy()

    def _sent(self, p: Parameter, value: Any) -> tuple[int, Any]:
        constant = p.type.startswith("const") or p.role not in ("list", "result", "size written")
        if value is None:
            return process.NOTHING, None
        if isinstance(value, list):
            return (process.LIST_READ if constant else process.LIST_WRITTEN), value
        if isinstance(value, np.ndarray):
            return (process.READ if constant else process.WRITTEN), value
        return process.VALUE, struct.pack("=d" if p.type == "double" else "=q", value)

    def _words(self, answer: Answer, call: Call) -> str:
        """What went wrong, as a person would say it."""
        if answer.what == process.CRASHED and answer.arg < 0:
            return self._crash(answer)
        name, array = self._named(answer, call.values)
        verb = "reads" if answer.wrote == 0 else "writes" if answer.wrote == 1 else "reads or writes"
        what = f"{name} is {array.dtype.name} {array.shape}, {array.nbytes} bytes"
        if answer.what == process.CHANGED:
            return f"it writes into {name}, which is const, at byte {answer.offset} ({what})"
        if 0 <= answer.offset < array.nbytes:  # an unaligned or an otherwise forbidden access
            return f"it crashes at byte {answer.offset} of {name} ({what})"
        beyond = answer.offset - array.nbytes
        where = (f"{-answer.offset} before its first" if answer.offset < 0 else
                 "the first one behind its last" if not beyond else f"{beyond + 1} behind its last")
        return f"it {verb} byte {answer.offset} of {name}, {where} ({what})"

    def _named(self, answer: Answer, values: Sequence[Any]) -> tuple[str, np.ndarray]:
        p, value = self.arguments.parameters[answer.arg], values[answer.arg]
        if not isinstance(value, list):
            return p.name, value
        if answer.item < 0:
            return p.name, np.zeros(len(value), np.uint64)
        return f"{p.name}[{answer.item}]", value[answer.item]

    def _crash(self, answer: Answer) -> str:
        number, printed = answer.signal, self.host.last_line()
        said = f"; it printed {printed!r}" if printed else ""
        if number == signal.SIGPROF:
            return process.ENDLESS
        if number in SIGNALS:
            return f"{signal.Signals(number).name}: {SIGNALS[number]}{said}"
        if answer.arg == process.ON_STACK:
            return ("SIGSEGV: the stack is full: an array in a function is too large, or a function calls "
                    "itself for ever")
        address = answer.offset & (1 << 64) - 1
        if address < 1 << 16:
            return (f"SIGSEGV at address {address:#x}: a pointer that is NULL, or an aligned load or store "
                    f"(arrays are aligned to their elements only){said}")
        return f"{signal.Signals(number).name} at {address:#x}, far from every argument{said}"

    def last_call(self) -> str:
        """The last call as C sees it: the numbers, and the names of the arrays."""
        said = []
        for p, value in zip(self.arguments.parameters, self.last.values if self.last else (), strict=False):
            if value is None:
                said.append(f"{p.name}=NULL")
            elif p.type == "const char *":
                said.append(f'{p.name}="{bytes(value[:-1]).decode()}"')
            elif p.role.startswith("type of"):
                said.append(f"{p.name}={list(TYPES.values())[value]}")
            else:
                said.append(p.name if isinstance(value, (list, np.ndarray)) else f"{p.name}={value}")
        return f"{function_name(self.kernel)}({', '.join(said)})"

    def close(self) -> None:
        """End the process."""
        self.host.close()


@contextmanager
def built(source: Path | str, kernel: Kernel, flags: Sequence[str] = (), seconds: float = 1.0
          ) -> Iterator[InC]:
    """The function of a C file, within the block. seconds: of CPU time, for one call.

    Raises as `build`."""
    with tempfile.TemporaryDirectory() as folder:
        function = InC(kernel, build(source, kernel, folder, flags), Path(source).name, seconds)
        try:
            yield function
        finally:
            function.close()
