"""The compiled kernels: finding the library, what this CPU may run, and why there is none when there is none.

Environment, read once at import:
    NN_BACKEND=numpy|c|cuda                NumPy specifications only / insist on C / on a GPU, where a kernel
                                           is written for one (nn/cuda)
    NN_ISA=scalar|avx2|avxvnni|avx512      use no instruction beyond this set
    NN_THREADS=1..256                      how many threads may share one product (threads.py); 1 if not given
    NN_KERNELS=/path/to/_kernels.abi3.so   load this build (the sanitized one) instead of the installed
"""

import os
import sys
import warnings
import zlib
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from .arguments import ALIGNED, CONTIGUOUS, READABLE, TURNED

NUMPY, BEST = -1 << 32, -1  # Kernel.choice, besides the number of a row of csrc/micro.def and capped(level)
ISAS = ("scalar", "avx2", "avxvnni", "avx512")      # caps, from poor to rich (csrc/isa.c)
BACKENDS = ("numpy", "c", "cuda")
CUDA = NUMPY - 1                            # the best row for a GPU; one that is forced has a smaller number
MOST_THREADS = 256


def csrc() -> str | None:
    """The folder of the C sources: beside `nn` in a checkout, inside it when installed from a wheel."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    places = os.path.join(os.path.dirname(package), "csrc"), os.path.join(package, "csrc")
    return next((folder for folder in places if os.path.isfile(os.path.join(folder, "micro.def"))), None)


def build_id(folder: str) -> str:
    """Checksum of all that decides what the compiled kernels are; csrc/build.py compiles the same in."""
    crc = 0
    for name in sorted(os.listdir(folder)):
        if name.endswith((".c", ".h", ".def")) or name == "build.py":
            with open(os.path.join(folder, name), "rb") as file:
                crc = zlib.crc32(name.encode() + file.read().replace(b"\r\n", b"\n"), crc)
    return f"{crc:08x}"


def _environment(variable: str, known: tuple[str, ...], wanted: str = "") -> str | None:
    value = os.environ.get(variable) or None
    if value is not None and value not in known:
        raise ValueError(f"{variable} must be {wanted or 'one of ' + ', '.join(known)}, got {value!r}")
    return value


def _load() -> Any:
    """The cffi module, or None where it was never built. Any other import error goes through."""
    if path := os.environ.get("NN_KERNELS"):
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


backend = _environment("NN_BACKEND", BACKENDS)
_cap = _environment("NN_ISA", ISAS)
_count = _environment("NN_THREADS", tuple(map(str, range(1, MOST_THREADS + 1))),
                      f"an integer in 1..{MOST_THREADS}")
_module = None if backend == "numpy" else _load()
lib = _module and _module.lib
ffi = _module and _module.ffi
from_buffer = ffi and ffi.from_buffer
NULL = ffi and ffi.NULL
if lib is None and backend == "c":
    raise RuntimeError("NN_BACKEND=c, but the C kernels are not built; run `python csrc/build.py`")
if lib is not None and _cap is not None:
    lib.nn_allow_features(lib.nn_isa_allows(ISAS.index(_cap)))
if lib is not None and _count is not None:
    lib.nn_threads(int(_count))
_machine = lib.nn_features() if lib else 0          # what the CPU has and NN_ISA allows, as bits
DEFAULT = NUMPY if lib is None else BEST            # what a kernel runs when nothing is forced


def has(level: int) -> bool:
    """Whether the instruction set ISAS[level] is there (and not capped by NN_ISA)."""
    return level == 0 or (lib is not None and not lib.nn_isa_needs(level) & ~_machine)


def pointer(x: np.ndarray) -> Any:
    """The address of x[0, 0, ...] for C. The caller keeps `x` alive."""
    if x.flags.num & CONTIGUOUS:
        return ffi.from_buffer(x)
    return ffi.cast("void *", x.__array_interface__["data"][0])


def strided(x: np.ndarray) -> tuple[Any, int, int]:
    """The address of a matrix for C, and the distances of its rows and of its columns in elements. (The
    caller keeps it alive.)"""
    flags = x.flags.num
    if flags & READABLE == READABLE:  # these two are found sooner
        return ffi.from_buffer(x), x.shape[1], 1
    if flags & TURNED == TURNED:
        return ffi.from_buffer(x.T), 1, x.shape[0]
    if not flags & ALIGNED:
        x = x.copy()
    return pointer(x), x.strides[0] // x.itemsize, x.strides[1] // x.itemsize


def rows(x: np.ndarray) -> tuple[Any, int]:
    """The same without that of its columns, which are adjacent."""
    return strided(x)[:2]


def check(kernel: str, status: int) -> None:
    """Raise what a C function's result says went wrong, if anything."""
    if status == lib.NN_NO_MEMORY:
        raise MemoryError(f"{kernel}: no memory for the C kernel's working space")
    if status == lib.NN_OVERLAP:
        raise ValueError(f"{kernel}: out must not overlap an input")


def capped(level: int) -> int:
    """The choice of the best row that needs no feature beyond those that the cap ISAS[level] allows."""
    return lib.nn_isa_allows(level) - (1 << 31)


class Variant(NamedTuple):
    """One implementation of a kernel: its specification, or a micro-kernel that others may share. `tile` is
    the block of the result that one call of the micro-kernel computes."""

    name: str                       # "gemm_numpy", or a row of csrc/micro.def: "rows_f32_6x16_avx2"
    backend: str                    # "numpy" or "c"
    isa: str                        # "any", "scalar", "avx2", "avxvnni", "avx512" or "avx512vnni"
    tile: tuple[int, int] | None
    number: int                     # of the row, or NUMPY
    family: int                     # of micro-kernels
    needs: int                      # what the CPU must have, as bits

    @property
    def here(self) -> bool:
        """Whether this CPU, under NN_ISA, has what it needs."""
        return not self.needs & ~_machine


@cache
def micro_kernels() -> dict[str, Variant]:
    """name -> each micro-kernel, in the order of csrc/micro.def."""
    rows = (lib.nn_row(i) for i in range(lib.nn_row_count() if lib else 0))
    each = (Variant(_text(r.name), "c", _text(r.features), (r.mr, r.nr), i, r.family, r.needs)
            for i, r in enumerate(rows))
    return {row.name: row for row in each}


@cache
def micro_kernels_of(kernel: str) -> tuple[Variant, ...]:
    """Those that a kernel can choose, on this machine or another: it has a bit for each of its families."""
    each = (lib.nn_kernel_row(i) for i in range(lib.nn_kernel_count() if lib else 0))
    families = next((row.families << row.base for row in each if _text(row.name) == kernel), 0)
    return tuple(row for row in micro_kernels().values() if families >> row.family & 1)


def _text(name: Any) -> str:
    return ffi.string(name).decode()


def why_not_c() -> str | None:
    """None if the C kernels are there, else one sentence that says why not.

    Where they were simply not built, this tries to compile them, for seconds, and quotes the compiler.
    """
    if lib is not None:
        return None
    if backend == "numpy":
        return "NN_BACKEND=numpy is set."
    folder = csrc()
    if folder is None:
        return "The C kernels were not built and their sources (csrc/) are not installed."
    # Imported here, because these two take longer to import than all of nn.kernels.
    import subprocess
    import tempfile

    script = os.path.join(folder, "build.py")
    with tempfile.TemporaryDirectory() as scratch:  # the result is thrown away
        tried = subprocess.run([sys.executable, script, "--out", scratch], capture_output=True, text=True,
                               check=False)
    if tried.returncode == 0:
        return f"The C kernels were not built, but they can be: run `python {script}`."
    lines = tried.stderr.strip().splitlines() or ["the compiler said nothing"]
    said = next((line for line in lines if "error" in line.lower()), lines[-1]).strip()
    return f"The C kernels could not be built: {said}"
