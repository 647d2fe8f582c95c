"""The kernel of the assignment `kernel`: how a student's kernel.c is built and called, by them and by
the grader.

What kernel.c holds runs in a process of its own (nn.testing.in_c), which is given numbers and gives numbers
back. The naive kernel runs beside it in the same way, so that both are timed alike.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import weakref
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nn.kernels import Kernel

from . import sandbox

NOT_WRITTEN = 77  # what kernel.c returns where nothing is written yet
SPARE = 40        # processes that the grader starts beforehand: a hand-in that crashes uses them up
MEMORY = 1 << 30  # bytes
SECONDS = 2.0     # of the processor, for one call

NAIVE = """
#include "gemm8.h"

int gemm8(int64_t M, int64_t K, int64_t N, const uint8_t *a, int64_t a_zero, const int8_t *b, int32_t *out)
{
    for (int64_t i = 0; i < M; i++)
        for (int64_t j = 0; j < N; j++) {
            int32_t sum = 0;
            for (int64_t k = 0; k < K; k++)
                sum += (int32_t)(a[i * K + k] - a_zero) * b[k * N + j];
            out[i * N + j] = sum;
        }
    return 0;
}
"""


def gemm8(a: np.ndarray, a_zero: int, b: np.ndarray) -> np.ndarray:
    """The product of integers Σ_k (a[i, k] − a_zero) · b[k, j], exact: (M, K) · (K, N) → (M, N).

    a_zero is the code of a that stands for 0, in 0..255. No sum leaves int32.
    """
    return (a.astype(np.int64) - a_zero) @ b.astype(np.int64)


class _Gemm8(Kernel):
    """Not one of nn.kernels: it has a signature, and is never called."""


def contract() -> Kernel:
    """What gemm8 is, as the kernels of the library say it."""
    return _Gemm8(gemm8, {"a": "u8[M,K]", "b": "s8[K,N]", "out": "s32[M,N]"})


class Runner:
    """Calls what the C file `file` holds. It is compiled at the first call, or by `prepare`."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def build(self) -> None:
        """Compile, and print what the compiler warns of; what can't be compiled ends the program with 1."""
        if isinstance(self._mine, Exception):
            sys.exit(f"{self.file.name} can't be built:\n{self._mine}")
        if self._mine.host.library.warnings:
            print(self._mine.host.library.warnings, file=sys.stderr)

    def prepare(self) -> None:
        """Compile, and start the processes that will be needed, each limited: for the grader, whose own
        process can't do either any more once it is limited."""
        for function, spare in ((self._naive, 1), (self._mine, SPARE)):
            if not isinstance(function, Exception):
                self._limit(function.host, spare)

    def gemm8(self, a: np.ndarray, a_zero: int, b: np.ndarray, fill: int = 0, at_start: bool = False
              ) -> np.ndarray:
        """The product by kernel.c. `fill` is what the result holds before, in every byte. Arrays end at
        memory that may not be touched, or begin there."""
        return _called(self._mine, a, a_zero, b, fill, at_start)

    def timed(self, a: np.ndarray, a_zero: int, b: np.ndarray, calls: int) -> tuple[np.ndarray, float]:
        """The product by kernel.c, and seconds of the processor that the fastest of so many calls took."""
        return _timed(self._mine, a, a_zero, b, calls)

    def naive(self, a: np.ndarray, a_zero: int, b: np.ndarray, calls: int) -> tuple[np.ndarray, float]:
        """The same by the naive kernel."""
        return _timed(self._naive, a, a_zero, b, calls)

    def close(self) -> None:
        """End the processes."""
        for name in {"_mine", "_naive"} & vars(self).keys():
            if not isinstance(vars(self)[name], Exception):
                vars(self)[name].close()

    @cached_property
    def _mine(self) -> Any:
        return self._built(self.file)

    @cached_property
    def _naive(self) -> Any:
        file = Path(self._folder(), "naive.c")
        file.write_text(NAIVE, encoding="utf-8")
        return self._built(file)

    def _folder(self) -> str:
        """A new folder that every user may read, and that goes with this."""
        path = tempfile.mkdtemp(prefix="gemm8-")
        os.chmod(path, 0o755)
        weakref.finalize(self, shutil.rmtree, path, ignore_errors=True)
        return path

    def _built(self, file: Path) -> Any:
        """The function of a file; or why there is none, to be raised by each call."""
        from nn.testing.in_c import BuildError, InC, NoCompilerError, build

        try:
            return InC(contract(), build(file, contract(), self._folder()), file.name, SECONDS)
        except FileNotFoundError:
            return FileNotFoundError(f"there is no {file.name} beside this file")
        except (BuildError, NoCompilerError) as error:
            return type(error)(str(error).replace(f"{file.parent}{os.sep}", ""))

    def _limit(self, host: Any, count: int) -> None:
        """From now on the host takes a process that was started here."""
        needed = [str(path.parent) for path in host.library[:2]]
        host.limit = lambda: sandbox.enclose(MEMORY, needed, [])
        spare = [host.opened() for _ in range(count)]

        def opened() -> subprocess.Popen:
            if not spare:  # the grader goes on, with the smallest example so far
                print(f"{self.file.name} has crashed {count} times", flush=True)
                os._exit(1)
            return spare.pop()

        host.opened = opened


def _timed(function: Any, a: np.ndarray, a_zero: int, b: np.ndarray, calls: int) -> tuple[np.ndarray, float]:
    """The process of the kernel is asked for its time from outside, so that nothing in it can tell another.
    What it does beside the kernel counts too; that is little if there is much to compute. The product of a
    and b comes first and is not timed; each timed call has other numbers, drawn anew, and its product is
    compared: neither to remember a product nor to leave one out saves time."""
    out, least, rng = _called(function, a, a_zero, b), float("inf"), np.random.default_rng()
    for call in range(calls):
        x, w = (rng.integers(0, 256, one.shape, np.uint8).view(one.dtype) for one in (a, b))
        before = function.host.processor()
        got = _called(function, x, a_zero, w)
        least = min(least, function.host.processor() - before)
        exact = (x.astype(np.float64) - a_zero) @ w.astype(np.float64)  # these sums fit 53 bits
        wrong = np.count_nonzero(got != exact)
        if wrong:
            raise AssertionError(f"the {call + 1}. call with the same sizes and other numbers: {wrong} of "
                                 f"{got.size} entries are wrong")
    return out, least


def _called(function: Any, a: np.ndarray, a_zero: int, b: np.ndarray, fill: int = 0, at_start: bool = False
            ) -> np.ndarray:
    if isinstance(function, Exception):
        raise function
    from nn.testing.in_c import KernelError
    from nn.testing.unset import filled

    function.at_start = at_start
    try:
        with filled(fill):
            return function(np.ascontiguousarray(a, np.uint8), a_zero, np.ascontiguousarray(b, np.int8))
    except KernelError as error:
        if error.code == NOT_WRITTEN:
            raise NotImplementedError from None
        raise
