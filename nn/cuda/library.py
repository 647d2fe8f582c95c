"""The compiled library for a GPU, or its emulation: found, checked and loaded when it is first wanted.

Environment, read then:
    NN_CUDA=device|emulation|off     a GPU; a GPU's emulation, in which kernels run slowly and every access to
                                     memory is looked at (csrc/cuda/emulation); nothing. If not given: a GPU
    NN_CUDA_LIB=/path/to/_cuda.so    load this build
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import zlib
from pathlib import Path
from typing import Any

from cffi import FFI

from ..kernels import native
from ..kernels.kernel import look_again

ABI = 1                                     # of csrc/build_cuda.py
OLDEST = 7, 5                               # Turing: the first with 8-bit tensor cores
LIBRARIES = {"device": "_cuda.so", "emulation": "_cuda_emulated.so"}
NO_ROOM, LAUNCH_FAILED = 2, 719             # cudaErrorMemoryAllocation, cudaErrorLaunchFailure
_PACKAGE = Path(__file__).resolve().parent.parent
_ABOUT = "int nn_cuda_abi(void); const char *nn_cuda_build_id(void); const char *nn_cuda_declarations(void);"


class CudaError(RuntimeError):
    """A function of CUDA failed. code: its number; name: what CUDA calls it."""

    def __init__(self, said: str, code: int, name: str) -> None:
        super().__init__(said)
        self.code, self.name = code, name


class OutOfMemory(CudaError, MemoryError):
    """The device has no memory left for an array. Those that there are stay whole."""


class EmulationError(CudaError):
    """The emulation has found that a kernel races, reads what nothing has written, or leaves its arrays."""


class Missing(Exception):
    """Why there is no device: one sentence."""


class Library:
    """A library that is loaded, and its device. about: name, capability (major, minor), multiprocessors,
    bytes of memory, of shared memory a block and of L2; emulated."""

    def __init__(self, path: Path) -> None:
        """Raises Missing."""
        self.ffi = FFI()
        self.ffi.cdef(_ABOUT)
        try:
            self.lib = self.ffi.dlopen(str(path))
            abi = self.lib.nn_cuda_abi()
        except (OSError, AttributeError) as error:
            raise Missing(f"{path.name} can't be loaded: {error}") from None
        if abi != ABI:
            raise Missing(f"{path} is of ABI {abi}, and this version of nn.cuda needs {ABI}: build it anew.")
        sources = sources_id()
        if sources and self.text(self.lib.nn_cuda_build_id()) != sources:
            raise Missing(f"{path.name} is older than csrc/cuda: build it anew (`{how(path)}`).")
        self.ffi.cdef(self.text(self.lib.nn_cuda_declarations()))
        self.path, self.lock = path, threading.Lock()
        self._open()

    def _open(self) -> None:
        count, version = self.ffi.new("int *"), self.ffi.new("int *")
        if status := self.lib.nn_cuda_devices(count):
            self.lib.nn_cuda_driver(version)
            said = "there is no NVIDIA driver" if not version[0] else (
                f"the NVIDIA driver is for CUDA {version[0] // 1000}.{version[0] % 1000 // 10}; CUDA says: "
                f"{self.text(self.lib.nn_cuda_error_text(status))}")
            raise Missing(f"There is no GPU: {said}.")
        if not count[0]:
            raise Missing("There is no GPU: the NVIDIA driver shows no device.")
        about = self.ffi.new("nn_cuda_device *")
        if status := self.lib.nn_cuda_open(0, about):
            raise Missing(f"The GPU can't be used: {self.text(self.lib.nn_cuda_error_text(status))}.")
        self.name, self.capability = self.text(about.name), (about.major, about.minor)
        self.multiprocessors, self.memory, self.l2 = about.multiprocessors, about.memory, about.l2
        self.shared_per_block, self.emulated = about.shared_per_block, bool(about.emulated)
        if self.capability < OLDEST:
            raise Missing(f"The GPU ({self.name}) is of compute capability {about.major}.{about.minor}; the "
                          f"kernels need {'.'.join(map(str, OLDEST))}.")

    def text(self, pointer: Any) -> str:
        """A string of C's."""
        return self.ffi.string(pointer).decode()

    def counts(self) -> dict[str, int]:
        """What kernels have done on the emulation since this was last asked: launches, barriers of blocks,
        bytes of each memory read and written, products of a warp (mma), and rows of ldmatrix that had to wait
        for others of the same banks. Raises CudaError on a GPU, which counts nothing."""
        found = self.ffi.new("long long[8]")
        self.call("nn_cuda_counts", found)
        return dict(zip(COUNTED, found, strict=True))

    def call(self, function: str, *arguments: Any) -> None:
        """Call a function of the library, and raise what its code says: OutOfMemory, EmulationError or
        CudaError. (What goes wrong while a kernel runs on a GPU, a later call says.)"""
        with self.lock:  # the emulation is one for all threads; on a GPU it is held for a microsecond
            status = getattr(self.lib, function)(*arguments)
            report = self.text(self.lib.nn_cuda_report()) if status == LAUNCH_FAILED else ""
        if status:
            name = self.text(self.lib.nn_cuda_error_name(status))
            kind = OutOfMemory if status == NO_ROOM else EmulationError if report else CudaError
            raise kind(report or f"{function}: {self.text(self.lib.nn_cuda_error_text(status))} ({name})",
                       status, name)


COUNTED = ("launches", "barriers", "bytes of global memory read", "bytes of global memory written",
           "bytes of shared memory read", "bytes of shared memory written", "products of a warp",
           "bank conflicts")


def sources_id() -> str | None:
    """Checksum of csrc/cuda, as csrc/build_cuda.py compiles it in; None where the sources are not there."""
    folder = native.csrc()
    if folder is None or not os.path.isdir(os.path.join(folder, "cuda")):
        return None
    files = sorted(f for f in Path(folder, "cuda").rglob("*") if f.suffix in (".cu", ".cpp", ".h"))
    crc = 0
    for f in files:
        crc = zlib.crc32(f.name.encode() + f.read_bytes().replace(b"\r\n", b"\n"), crc)
    return f"{crc:08x}"


def how(path: Path) -> str:
    """The command that builds a library."""
    return f"python csrc/build.py --{'emulate' if path.name == LIBRARIES['emulation'] else 'cuda'}"


_wanted = os.environ.get("NN_CUDA") or "device"  # or what emulate() has said
_libraries: dict[str, Library | str] = {}        # loaded, or why they are not, by what was wanted


def _found() -> Any:
    """The library of this process, or why there is none."""
    return _loaded(_wanted)


def _loaded(wanted: str) -> Library | str:
    if wanted not in _libraries:
        _libraries[wanted] = _load(wanted)
    return _libraries[wanted]


def _load(wanted: str) -> Library | str:
    if wanted not in (*LIBRARIES, "off"):
        raise ValueError(f"NN_CUDA must be one of device, emulation, off; got {wanted!r}")
    if wanted == "off":
        return "NN_CUDA=off is set."
    path = Path(os.environ.get("NN_CUDA_LIB") or _PACKAGE / LIBRARIES[wanted])
    if not path.is_file():
        return f"The library is not built: {path.name} is not there; `{how(path)}` builds it."
    try:
        return Library(path)
    except Missing as why:
        return str(why)


def library() -> Library:
    """The library of this process. Raises RuntimeError with the sentence of `why_not` where there is none."""
    found = _found()
    if isinstance(found, str):
        raise RuntimeError(f"nn.cuda: {found}")
    return found


def why_not() -> str | None:
    """None if kernels can run on a GPU (or on its emulation, if that was asked for); else one sentence that
    says why not: no library, no driver, a driver that is too old, no device."""
    found = _found()
    return found if isinstance(found, str) else None


def is_available() -> bool:
    """Whether kernels can run on a GPU (or on its emulation, if that was asked for)."""
    return why_not() is None


def emulate(order: str = "forward", seed: int = 0) -> Emulation:
    """Run kernels for the GPU without one, from now on in this process, or in the `with` block that it
    begins: each of a block's threads in turn, in this order ("forward", "reverse", or "random" by the seed),
    every access to memory looked at.

    Builds the emulation where that was not done, which takes a C++ compiler and some seconds. It is thousands
    of times slower than a GPU, and it finds what a GPU does not say: races, and what lies out of bounds. May
    be called again for another order. Raises RuntimeError if a GPU is in use already, or where it can't be
    built; ValueError for another order."""
    orders = "forward", "reverse", "random"
    if order not in orders:
        raise ValueError(f"emulate: order must be one of {', '.join(orders)}; got {order!r}")
    if _wanted == "device" and isinstance(_libraries.get("device"), Library):
        raise RuntimeError("emulate: a GPU is in use already; call it before the first kernel")
    before = Emulation(_wanted)
    _build()
    _want("emulation")
    library().call("nn_cuda_order", orders.index(order), seed & 0xffffffff)
    return before


class Emulation:
    """What `emulate` gives: at the end of its `with` block kernels run where they did before it."""

    def __init__(self, before: str) -> None:
        self.before = before

    def __enter__(self) -> Emulation:
        return self

    def __exit__(self, *error: object) -> None:
        _want(self.before)


def _want(wanted: str) -> None:
    """Other kernels can run from here on: the device is another."""
    global _wanted
    _wanted = wanted
    if isinstance(_libraries.get(wanted), str):
        del _libraries[wanted]  # what was not there may have been built
    look_again()


def _build() -> None:
    """Build the emulation unless it is there and as new as its sources."""
    folder = native.csrc()
    if os.environ.get("NN_CUDA_LIB") or folder is None:
        return
    if isinstance(_loaded("emulation"), Library):
        return
    done = subprocess.run([sys.executable, os.path.join(folder, "build.py"), "--emulate", "--out",
                           str(_PACKAGE)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"emulate: the emulation can't be built: {done.stderr.strip()[-2000:]}")
