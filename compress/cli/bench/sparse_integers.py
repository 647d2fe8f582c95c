"""What the rows of all sparse products of integers share: uint8 times a sparse int8 weight, beside qgemm."""

from collections.abc import Iterator
from contextlib import nullcontext
from timeit import Timer
from typing import Any

import numpy as np

from nn.kernels import Kernel, qgemm, use

from .gemm import beyond_avx2
from .row import Row
from .timing import context, digits, interleaved, timer

AROUND = {"scale": 1e-3, "out_zero": 128}


def with_avx2() -> Iterator[str]:
    """What `use` is told for each set of rows: nothing, and AVX2 where there is more."""
    yield from ("", "avx2") if beyond_avx2() else ("",)


def in_bytes(x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normal numbers x (M, K) and w (N, K) as symmetric quantization stores them: uint8 and int8."""
    x, w = np.clip(np.rint(x * 40 + 120), 0, 255), np.clip(np.rint(w * 35), -127, 127)
    return x.astype(np.uint8), w.astype(np.int8)


def beside_dense(kernel: Kernel, x: np.ndarray, w: np.ndarray, said: str, seconds: float, only: str,
                 **how: Any) -> Row:
    """How many times as fast as our own dense product, packed, of the same matrices, both requantised. how:
    what `pack` is told."""
    with use(only) if only else nullcontext():
        dense, out = qgemm.pack(w.T), np.empty((len(x), len(w)), np.uint8)
        times = interleaved({
            "ours": ours(kernel, x, w, **how),
            "our qgemm": timer("qgemm(x, w, a_zero=120, out=out, **around)", qgemm=qgemm, x=x, w=dense,
                               out=out, around=AROUND)}, seconds)
    measure = f"{kernel.name} {said}{f', {only}' * bool(only)}, beside dense qgemm"
    beside = context(times, "ms", lambda seconds: 1000 * seconds)
    beside["weights"] = {"MB": digits(kernel.pack(w, **how).nbytes / 1e6), "dense": digits(w.nbytes / 1e6)}
    return Row(kernel.name, measure, round(times["our qgemm"].median / times["ours"].median, 3), "× qgemm",
               context=beside)


def ours(kernel: Kernel, x: np.ndarray, w: np.ndarray, **how: Any) -> Timer:
    """The timer of our product, once its result is known to be that of qgemm."""
    packed, out = kernel.pack(w, **how), np.empty((len(x), len(w)), np.uint8)
    kernel(x, packed, x_zero=120, out=out, **AROUND)
    if not np.array_equal(out, qgemm(x, np.ascontiguousarray(w.T), a_zero=120, **AROUND)):
        raise RuntimeError(f"bench: {kernel.name} differs from qgemm")
    return timer("mul(x, w, x_zero=120, out=out, **around)", mul=kernel, x=x, w=packed, out=out,
                 around=AROUND)
