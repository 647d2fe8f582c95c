"""What bounds a kernel here: how fast its route multiplies, how fast memory is copied, what a call costs.

    best_route(qgemm)          "maddubs_avx2": the multiplies that it can at best be as fast as
    peak("maddubs_avx2")       its multiply-accumulates a second, measured (csrc/peak.c)
    copy_speed(2**20)          bytes a second that are read and written, in a megabyte
    call_cost()                seconds of a call that computes next to nothing

A kernel takes at least the longest of MACs / peak, bytes / copy_speed and call_cost: the roofline of
Williams, Waterman & Patterson (2009), with the price of a call from Python."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from time import perf_counter

import numpy as np

from .gemm import gemm
from .kernel import Kernel
from .native import NUMPY, Variant, lib, micro_kernels

PEAK = "peak_"  # begins the names of the rows that are loops to measure against
# What the types in a micro-kernel's name are multiplied with. Floats are by floats: what else b holds, of
# f32f16 or the 4-bit codes of f32u4, becomes floats first.
MULTIPLIES = {"f32": "fma", "u8s8": "vnni", "s8s8": "signed", "s16s16": "madd16", "u8s7": "maddubs",
              "u8s6": "two", "u8s4": "nine", "bits": "popcount", "pow2": "shift"}
NARROW = ("two", "nine", "ternary")  # which only weights of fewer bits than 8 can take
SMALLEST, LARGEST = 2**18, 2**26  # bytes of a copy: less of it is the call, more is slow to get


def peak(route: str) -> float:
    """Multiply-accumulates a second of a register-only loop with the instructions of `route`: the ceiling
    that the kernels of that route are measured against. One thread, the best of 20 runs of about a
    millisecond, short enough that some are not interrupted. Routes: `peak_routes()`."""
    loop, best = peak_loop(route), 0.0
    for _ in range(20):
        start = perf_counter()
        best = max(best, loop(200_000) / (perf_counter() - start))
    return best


def peak_loop(route: str) -> Callable[[int], float]:
    """That loop: a function that goes round it so many times (each takes some nanoseconds) and returns the
    multiply-accumulates done. It costs next to nothing itself, which would make the peak look lower.
    route: the name of the loop, as `peak_routes` lists them. Raises ValueError for one that is not there.
    """
    if route not in peak_routes():
        known = ", ".join(peak_routes()) or "(no C kernels here)"
        raise ValueError(f"peak: route must be one of {known}, got {route!r}")
    return partial(lib.nn_peak, micro_kernels()[PEAK + route].number)


def peak_routes() -> tuple[str, ...]:
    """The routes whose peak can be measured on this machine."""
    return tuple(name[len(PEAK):] for name, row in micro_kernels().items()
                 if name.startswith(PEAK) and row.here)


def route_of(variant: Variant) -> str:
    """The name of what a variant multiplies with, "vnni_avx512" for rows_u8s8_12x32_avx512vnni; "" where it
    is not known."""
    parts = ("f32" if part.startswith("f32") else part for part in variant.name.split("_"))
    types = next((part for part in parts if part in MULTIPLIES), None)
    isa = "avx512" if variant.isa.startswith("avx512") else variant.isa
    return f"{MULTIPLIES[types]}_{isa}" if types and variant.backend == "c" else ""


def best_route(kernel: Kernel) -> str | None:
    """Of the routes that a kernel's micro-kernels take in this thread (see `use`), with weights of 8 bits:
    that of the richest instruction set; of several, the fastest. None where no peak can be measured: of a
    pass over arrays, which multiplies little, and on NumPy."""
    choice = kernel.choice
    if choice <= NUMPY:
        return None
    rows = [row for row in kernel.variants() if row.backend == "c"]
    allowed = [row for row in rows if row.number == choice] if choice >= 0 else []
    allowed = allowed or [row for row in rows if choice >= 0 or not row.needs & ~choice]
    there = [name for name in peak_routes() if choice >= 0 or not name.startswith(NARROW)]
    needs = {route: row.needs for row in allowed if (route := route_of(row)) in there}
    richest = [route for route in needs if needs[route] == max(needs.values())]
    return max(richest, key=_peak, default=None) if len(richest) != 1 else richest[0]


_peak = cache(peak)


@cache
def copy_speed(nbytes: int) -> float:
    """Bytes a second, those read and those written, of a copy that moves about `nbytes` of them: from and to
    the cache where they fit, or else memory. One thread, the best of nine."""
    size = SMALLEST
    while size < min(nbytes, LARGEST):
        size *= 4
    if size != nbytes:
        return copy_speed(size)
    source, target = np.ones((2, size // 2), np.uint8)
    times = max(1, 2**22 // size)  # so that the clock's tick and the call are little beside it
    return size * times / min(_seconds(partial(np.copyto, target, source), times) for _ in range(9))


@cache
def call_cost() -> float:
    """Seconds of a prepared call of a kernel that computes next to nothing: the price of every call from
    Python. The best of nine."""
    a, b, out = np.ones((3, 1, 1), np.float32)
    again = gemm.prepare(a, gemm.pack(b), out=out)
    return min(_seconds(again, 100) / 100 for _ in range(9))


def _seconds(call: Callable[[], object], times: int) -> float:
    call()
    start = perf_counter()
    for _ in range(times):
        call()
    return perf_counter() - start
