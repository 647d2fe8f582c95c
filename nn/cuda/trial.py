"""A kernel of your own, tried on the emulation: its source as a text, and what it does to arrays.

    add = cuda.Trial('''
    __global__ void add(int n, const float *x, float *y) {
        const int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] += x[i];
    }
    API int run(int n, const void *x, void *y, void *stream) {
        LAUNCH(add, ceil_div(n, 128), 128, 0, stream, n, (const float *)x, (float *)y);
        return launched();
    }''')
    x, y = add.run(3, x, y)
"""

import re
import shutil
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from ..kernels import native
from .library import Library

HEAD = '#include "mma.h"\n#line 1 "your source"\n'
_BUILD = "import sys; sys.path.insert(0, sys.argv[1]); import build_cuda; build_cuda.trial(*sys.argv[2:])"


def _folder(owner: Any) -> str:
    """A folder that is there as long as its owner is."""
    made = tempfile.mkdtemp(prefix="espalier-")
    weakref.finalize(owner, shutil.rmtree, made, ignore_errors=True)
    return made


@cache
def _kept() -> str:
    """Where the emulation's own files are, compiled once in a process."""
    return _folder(Trial)


class Trial:
    """Compiles a source for the emulation, and has its API functions by their names. It may use what
    csrc/cuda/mma.h says. A function takes the numbers and arrays that the C function takes, without the
    stream: arrays are copied to the device, and all of them come back, as a list; one that `nothing` made has
    not been written there. order of a block's threads: 0 forward, 1 reverse, 2 random by the seed. counts:
    what the last call has done (nn.cuda.library().counts()).

    Raises RuntimeError with the compiler's words, or where there is no C++ compiler; a call raises
    EmulationError with what is wrong with the kernel."""

    def __init__(self, source: str) -> None:
        folder = native.csrc()
        if folder is None:
            raise RuntimeError("Trial: the sources (csrc/) are not installed")
        self.functions = re.findall(r"^\s*API int (\w+)\(", source, re.MULTILINE)
        here = _folder(self)
        file, made = Path(here, "trial.cu"), Path(here, "_cuda_emulated.so")
        file.write_text(HEAD + source, encoding="utf-8")
        done = subprocess.run([sys.executable, "-c", _BUILD, folder, str(file), str(made), _kept()],
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"Trial: {done.stderr.strip()[-3000:]}")
        self.library = Library(made)
        self.counts: dict[str, int] = {}

    def __getattr__(self, name: str) -> Callable[..., list[np.ndarray]]:
        if name in vars(self).get("functions", ()):
            return partial(self._run, name)
        raise AttributeError(f"the source has no API function {name!r}")

    def _run(self, name: str, *arguments: Any, order: int = 0, seed: int = 0) -> list[np.ndarray]:
        library, null = self.library, self.library.ffi.NULL
        library.call("nn_cuda_order", order, seed)
        blocks, given = [], []
        try:
            for x in arguments:
                if isinstance(x, np.ndarray):
                    blocks.append((x, at := self._room(x.nbytes)))
                    if not isinstance(x, Nothing):
                        whole = np.ascontiguousarray(x)
                        library.call("nn_cuda_upload", at, library.ffi.from_buffer(whole), x.nbytes, null)
                given.append(at if isinstance(x, np.ndarray) else x)
            library.counts()
            library.call(name, *given, null)
            self.counts = library.counts()
            return [self._back(x, at) for x, at in blocks]
        finally:
            for _, at in blocks:
                library.call("nn_cuda_release", at)

    def _room(self, nbytes: int) -> Any:
        at = self.library.ffi.new("void **")
        self.library.call("nn_cuda_allocate", nbytes, at)
        self.library.call("nn_cuda_lend", at[0], nbytes)
        return at[0]

    def _back(self, x: np.ndarray, at: Any) -> np.ndarray:
        out = np.empty(x.shape, x.dtype)
        self.library.call("nn_cuda_download", self.library.ffi.from_buffer(out), at, out.nbytes,
                          self.library.ffi.NULL)
        return out


class Nothing(np.ndarray):
    """An array on the device that nothing has written yet."""


def nothing(*shape: int, dtype: Any = np.float32) -> Nothing:
    """Room for a result of this shape."""
    return np.zeros(shape, dtype).view(Nothing)
