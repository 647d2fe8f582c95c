"""The compiled kernels: finding the library, what this CPU may run, and why there is none when there is none.

Environment, read once at import:
    NN_BACKEND=numpy|c                     NumPy specifications only / insist on C
    NN_ISA=scalar|avx2|avxvnni|avx512      use no instruction beyond this set
    NN_THREADS=1..256                      how many threads may share one product (threads.py); 1 if not given
    NN_KERNELS=/path/to/_kernels.abi3.so   load this build (the sanitized one) instead of the installed
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from time import perf_counter
from typing import Any

import numpy as np

from .arguments import ALIGNED, CONTIGUOUS, READABLE, TURNED
from .sources import build_id, csrc, try_to_build

NUMPY, BEST = -5, -1          # Kernel.choice, besides the number of a C variant and capped(level)
ISAS = ("scalar", "avx2", "avxvnni", "avx512")      # from poor to rich; each contains those before it
BACKENDS = ("numpy", "c")
MOST_THREADS = 256


def _environment(variable: str, known: tuple[str, ...]) -> str | None:
    value = os.environ.get(variable) or None
    if value == "cuda" and variable == "NN_BACKEND":
        raise ValueError("NN_BACKEND=cuda: there are no CUDA kernels in this version, use numpy or c")
    if value is not None and value not in known:
        raise ValueError(f"{variable} must be one of {', '.join(known)}, got {value!r}")
    return value


def _threads() -> int:
    value = os.environ.get("NN_THREADS") or "1"
    if not (value.isascii() and value.isdigit() and 1 <= int(value) <= MOST_THREADS):
        raise ValueError(f"NN_THREADS must be an integer in 1..{MOST_THREADS}, got {value!r}")
    return int(value)


def _load() -> Any:
    """The cffi module, or None where it was never built. Any other import error goes through."""
    path = os.environ.get("NN_KERNELS")
    if path:
        from importlib.util import module_from_spec, spec_from_file_location

        spec = spec_from_file_location("nn._kernels", path)
        module = sys.modules["nn._kernels"] = module_from_spec(spec)
        spec.loader.exec_module(module)
    else:
        try:
            module = import_module("nn._kernels")
        except ModuleNotFoundError as error:
            if error.name != "nn._kernels":
                raise
            return None
    folder = csrc()
    if folder and module.ffi.string(module.lib.nn_build_id()).decode() != build_id(folder):
        warnings.warn("nn: the kernels are older than csrc/, run `python csrc/build.py`", stacklevel=2)
    return module


_backend = _environment("NN_BACKEND", BACKENDS)
_cap = _environment("NN_ISA", ISAS)
_module = None if _backend == "numpy" else _load()
lib = _module and _module.lib
ffi = _module and _module.ffi
from_buffer = ffi and ffi.from_buffer
NULL = ffi and ffi.NULL
if lib is None and _backend == "c":
    raise RuntimeError("NN_BACKEND=c, but the C kernels are not built; run `python csrc/build.py`")
if lib is not None and _cap is not None:
    lib.nn_isa_cap(ISAS.index(_cap))
_count = _threads()
if lib is not None and _count > 1:
    lib.nn_threads(_count)
_machine = lib.nn_isa_mask() if lib else 0          # feature bits of CPU and NN_ISA together


def keep_freed_memory(most: int) -> None:
    """Let the C library keep up to `most` bytes that are freed for the next who wants some (csrc/heap.c)."""
    if lib is not None:
        lib.nn_keep_freed_memory(most)


def has(level: int) -> bool:
    """Whether the instruction set ISAS[level] is there (and not capped by NN_ISA)."""
    return level == 0 or bool(_machine >> (level - 1) & 1)


def pointer(x: np.ndarray) -> Any:
    """The address of x[0, 0, ...] for C. The caller keeps `x` alive."""
    if x.flags.num & CONTIGUOUS:
        return ffi.from_buffer(x)
    return ffi.cast("void *", x.__array_interface__["data"][0])


def rows(x: np.ndarray) -> tuple[Any, int]:
    """The address of a matrix for C, and the distance of its rows in elements. (`from_buffer` keeps a
    contiguous one alive; the caller keeps the others.)"""
    if x.flags.num & CONTIGUOUS:
        return ffi.from_buffer(x), x.shape[1]
    return pointer(x), x.strides[0] // x.itemsize


def strided(x: np.ndarray) -> tuple[Any, int, int]:
    """The address of a matrix for C, and the distances of its rows and of its columns in elements. (The
    caller keeps it alive.)"""
    flags = x.flags.num
    if flags & READABLE == READABLE:   # these two are found sooner
        return ffi.from_buffer(x), x.shape[1], 1
    if flags & TURNED == TURNED:
        return ffi.from_buffer(x.T), 1, x.shape[0]
    if not flags & ALIGNED:
        x = x.copy()
    return pointer(x), x.strides[0] // x.itemsize, x.strides[1] // x.itemsize


def check(kernel: str, status: int) -> None:
    """Raise what a C function's result says went wrong."""
    if status == lib.NN_NO_MEMORY:
        raise MemoryError(f"{kernel}: no memory for the C kernel's working space")
    if status == lib.NN_OVERLAP:
        raise ValueError(f"{kernel}: out must not overlap an input")


def default_choice() -> int:
    """What a kernel runs when nothing is forced."""
    return NUMPY if lib is None else BEST


def capped(level: int) -> int:
    """The choice of the best variant that needs no instruction set beyond ISAS[level]; BEST for the last."""
    return level - len(ISAS)


@cache
def _registry() -> dict[str, tuple[int, Any]]:
    """name -> (its number, its row) of every C variant, in the order of csrc/kernels.def."""
    rows = ((i, lib.nn_variant(i)) for i in range(lib.nn_variant_count()))
    return {ffi.string(row.name).decode(): (i, row) for i, row in rows}


@cache
def variants(kernel: str) -> tuple[tuple, ...]:
    """The C variants of a kernel, in the order of csrc/kernels.def: (name, "c", isa, tile)."""
    if lib is None:
        return ()
    mine = getattr(lib, f"NN_{kernel}")
    return tuple((name, "c", ffi.string(v.isa).decode().lower(), (v.mr, v.nr))
                 for name, (_, v) in _registry().items() if v.kernel == mine)


def number(name: str) -> int:
    """The number of the C variant called `name`."""
    return _registry()[name][0]


def runs(variant: Any) -> bool:
    """Whether this CPU, under NN_ISA, has the instructions a variant needs."""
    return variant.backend == "numpy" or not lib.nn_variant(number(variant.name)).needs & ~_machine


def peak(route: str) -> float:
    """Multiply-accumulates a second of a register-only loop with the instructions of `route`: the ceiling
    that the kernels of that route are measured against. One thread, the best of 20 runs of about a
    millisecond, short enough that some are not interrupted. Routes: `peak_routes()`."""
    loop, best = peak_loop(route), 0.0
    for _ in range(20):
        start = perf_counter()
        macs = loop(200_000)
        best = max(best, macs / (perf_counter() - start))
    return best


def peak_loop(route: str) -> Callable[[int], float]:
    """That loop: a function that goes round it so many times (each takes some nanoseconds) and returns the
    multiply-accumulates done. It costs next to nothing itself, which would make the peak look lower.
    route: the name of the loop, as `peak_routes` lists them. Raises ValueError for one that is not there.
    """
    if route not in peak_routes():
        known = ", ".join(peak_routes()) or "(no C kernels here)"
        raise ValueError(f"peak: route must be one of {known}, got {route!r}")
    return partial(lib.nn_peak, all_peak_routes().index(route))


def all_peak_routes() -> list[str]:
    """Every route there is, in the order of their numbers in C; not all of them run on this machine."""
    return [ffi.string(lib.nn_peak_name(i)).decode() for i in range(lib.nn_peak_count())] if lib else []


def peak_routes() -> tuple[str, ...]:
    """The routes whose peak can be measured on this machine."""
    return tuple(r for i, r in enumerate(all_peak_routes()) if not lib.nn_peak_needs(i) & ~_machine)


def why_not_c() -> str | None:
    """None if the C kernels are there, else one sentence that says why not.

    Where they were simply not built, this tries to compile them, for seconds, and quotes the compiler.
    """
    if lib is not None:
        return None
    if _backend == "numpy":
        return "NN_BACKEND=numpy is set."
    folder = csrc()
    if folder is None:
        return "The C kernels were not built and their sources (csrc/) are not installed."
    said = try_to_build(folder)
    if said is None:
        script = os.path.join(folder, "build.py")
        return f"The C kernels were not built, but they can be: run `python {script}`."
    return f"The C kernels could not be built: {said}"
