"""qspmm_bsr: an int8 weight pruned in blocks of rows times 64 inputs of uint8, beside our own dense qgemm."""

from collections.abc import Iterator
from contextlib import nullcontext
from timeit import Timer

import numpy as np

from nn.kernels import Variant, qgemm, qspmm_bsr, use

from ..ladder.sample import SIZE, Sample, unsigned
from . import variants
from .gemm import beyond_avx2
from .row import Row
from .small_call import A8, B8, Call
from .spmm_bsr import SHAPES, operands
from .timing import context, interleaved, timer

AROUND = {"scale": 1e-3, "out_zero": 128}
CALLS = (Call("qspmm_bsr(a, b)", A8, (B8,)),)


def rows(seconds: float) -> Iterator[Row]:
    """A comparison at each shape, height of blocks and sparsity, with AVX2 too where there is more; and the
    speed of every variant."""
    for only in ("", "avx2") if beyond_avx2() else ("",):
        yield from (_beside_dense(shape, height, zeros, seconds / 4, only) for shape in SHAPES
                    for height in (4, 8) for zeros in (0.2, 0.5, 0.9))
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variants.rows(qspmm_bsr, _work, seconds, of_peak=False)


def _operands(shape: tuple[int, int, int], height: int, zeros: float) -> tuple[np.ndarray, np.ndarray]:
    """x uint8 (M, K) and W int8 (N, K), normal numbers as symmetric quantization stores them."""
    x, w = operands(shape, height, zeros)
    x, w = np.clip(np.rint(x * 40 + 120), 0, 255), np.clip(np.rint(w * 35), -127, 127)
    return x.astype(np.uint8), w.astype(np.int8)


def _beside_dense(shape: tuple[int, int, int], height: int, zeros: float, seconds: float, only: str) -> Row:
    """How many times as fast as our own dense product, packed, of the same matrices, both requantised."""
    with use(only) if only else nullcontext():
        x, w = _operands(shape, height, zeros)
        dense, out = qgemm.pack(w.T), np.empty((len(x), len(w)), np.uint8)
        times = interleaved({
            "ours": _ours(x, w, height),
            "our qgemm": timer("qgemm(x, w, a_zero=120, out=out, **around)", qgemm=qgemm, x=x, w=dense,
                               out=out, around=AROUND)}, seconds)
    measure = (f"qspmm_bsr {'×'.join(map(str, shape))}, blocks of {height}×1, {zeros:.0%} zeros"
               f"{f', {only}' * bool(only)}, beside dense qgemm")
    return Row("qspmm_bsr", measure, round(times["our qgemm"].median / times["ours"].median, 3), "× qgemm",
               context=context(times, "ms", lambda seconds: 1000 * seconds))


def _ours(x: np.ndarray, w: np.ndarray, height: int) -> Timer:
    """The timer of our product, once its result is known to be that of qgemm."""
    packed, out = qspmm_bsr.pack(w, height), np.empty((len(x), len(w)), np.uint8)
    qspmm_bsr(x, packed, x_zero=120, out=out, **AROUND)
    if not np.array_equal(out, qgemm(x, np.ascontiguousarray(w.T), a_zero=120, **AROUND)):
        raise RuntimeError("bench: qspmm_bsr differs from qgemm")
    return timer("mul(x, w, x_zero=120, out=out, **around)", mul=qspmm_bsr, x=x, w=packed, out=out,
                 around=AROUND)


def _work(variant: Variant) -> variants.Work:
    x, w = _operands(SHAPES[0], 4, 0.5)
    with use(variant):
        return variants.Work("64×1024×1024, 50% zeros", len(x) * int(np.count_nonzero(w)), _ours(x, w, 4))


def sample(rng: np.random.Generator) -> Sample:
    """The call that the ladder times."""
    kept = np.repeat(rng.random((SIZE // 4, SIZE)) < 0.1, 4, axis=0)
    w = (rng.integers(-127, 128, (SIZE, SIZE)) * kept).astype(np.int8)
    parts = qspmm_bsr.pack(w).unpack()
    said = f"{SIZE}×{SIZE}×{SIZE}, 10 % stored, blocks of 4×1"
    return Sample((unsigned(rng, SIZE, SIZE), *parts), {"x_zero": 120, **AROUND}, SIZE * parts[0].size, said)
