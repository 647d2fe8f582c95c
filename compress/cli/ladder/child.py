"""The process that times the rungs of a ladder, one thread, and tells what it found as a line of JSON."""

from __future__ import annotations

import json
import os
from timeit import Timer
from typing import Any

import cffi
import numpy as np

import nn
from nn.kernels import (
    Kernel,
    all_kernels,
    best_route,
    copy_speed,
    peak,
    peak_routes,
    route_of,
    use,
    why_not_c,
)
from nn.kernels.native import ISAS, has

from ..bench.timing import interleaved, timer
from .peers import peers_of
from .sample import Sample, packed
from .samples import sample_of

SECONDS = 0.3    # for each rung
MEMORY = 2**26   # bytes, more than any cache has


def main(name: str, libraries: str) -> None:
    """Time the kernel of this `name`. libraries: JSON, {rung: path of what nn.testing.in_c built}."""
    nn.memory.keep_freed()
    kernel = next(one for one in all_kernels() if one.name == name)
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)  # what is printed otherwise is no answer
        print(json.dumps(measured(kernel, json.loads(libraries))), file=out, flush=True)


def measured(kernel: Kernel, libraries: dict[str, str]) -> dict[str, Any]:
    """Seconds a call of each rung, and what this machine can do: multiply-accumulates a second of each route
    that the kernel takes, bytes a second of copies."""
    one, calls = sample_of(kernel), {}
    rungs: dict[str, Timer] = {}
    for rung, path in libraries.items():
        calls[rung] = _InProcess(kernel, path, one)
        rungs[rung] = timer("call(slots)", call=calls[rung].call, slots=calls[rung].slots)
    first = next(iter(calls.values()))
    rungs["NumPy specification"] = timer(
        "reference(*args, **options)", reference=kernel.reference, args=one.args, options=one.options)
    rungs |= _ours(kernel, one)
    rungs |= peers_of(kernel.name, one)
    times = interleaved(rungs, SECONDS)
    routes = {route_of(variant) for variant in kernel.variants()} & set(peak_routes())
    return {"work": one.said, "macs": one.macs, "bytes": first.bytes, "numbers": first.numbers,
            "seconds": {rung: time.median for rung, time in times.items()},
            "peaks": {route: peak(route) for route in sorted(routes)} if one.macs else {},
            "route": best_route(kernel) if one.macs else None,
            "copies": {"these bytes": copy_speed(first.bytes), "memory": copy_speed(MEMORY)}}


class _InProcess:
    """A library's kernel, with the arguments of one call in slots that stay."""

    def __init__(self, kernel: Kernel, path: str, one: Sample) -> None:
        from nn.testing.in_c.function import Arguments

        ffi = cffi.FFI()
        ffi.cdef("int nn_call(const void *slots);")
        self.library = ffi.dlopen(path)
        self.made = made = Arguments(kernel)(*one.args, **one.options)
        self.kept, words = [], []
        for value in made.values:
            words.append(self._word(value))
        self.words = np.array(words, np.uint64)
        self.call, self.slots = self.library.nn_call, ffi.from_buffer(self.words)
        arrays = [a for value in made.values for a in (value if isinstance(value, list) else [value])
                  if isinstance(a, np.ndarray)]
        self.bytes = sum(a.nbytes for a in arrays) + sum(copy.nbytes for _, copy in made.copied)
        self.numbers = sum(a.size for a in made.written)

    def _word(self, value: Any) -> int:
        if value is None:
            return 0
        if isinstance(value, list):
            value = np.array([self._word(a) for a in value], np.uint64)
        if isinstance(value, np.ndarray):
            self.kept.append(value)
            return value.ctypes.data
        return int(np.array(value).view(np.uint64)) if isinstance(value, float) else value % 2**64


class _Forced:
    """A timer within `use(isa)`, which is entered once for all calls of a turn."""

    def __init__(self, isa: str, one: Timer) -> None:
        self.isa, self.one = isa, one

    def timeit(self, number: int) -> float:
        """As timeit.Timer's."""
        with use(self.isa):
            return self.one.timeit(number)


def _ours(kernel: Kernel, one: Sample) -> dict[str, Any]:
    """Our kernel on each instruction set that is here, on the same arrays; and with its operand packed."""
    if why_not_c() or not kernel.call:
        return {}
    args, options = one.args, one.options
    if kernel.contract.out:  # as the other libraries are called: all that can be is done beforehand
        call = timer("again()", again=kernel.prepare(*args, **options, out=kernel(*args, **options)))
    else:
        call = timer("kernel(*args, **options)", kernel=kernel, args=args, options=options)
    here = [isa for level, isa in enumerate(ISAS) if has(level)]
    rungs: dict[str, Any] = {f"ours, {isa}": _Forced(isa, call) for isa in here}
    if kernel.contract.packed:
        given = packed(kernel, one)
        again = kernel.prepare(**given, out=kernel(**given))
        rungs[f"ours, {here[-1]}, packed beforehand"] = timer("again()", again=again)
    return rungs
