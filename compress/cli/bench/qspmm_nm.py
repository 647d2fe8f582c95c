"""qspmm_nm: int8 weights of which 2 of 4 neighbours are kept, beside our own dense qgemm."""

from collections.abc import Iterator
from contextlib import nullcontext
from timeit import Timer

import numpy as np

from nn.kernels import Variant, qgemm, qspmm_nm, use

from ..ladder.sample import SIZE, Sample, unsigned
from . import variants
from .gemm import beyond_avx2
from .row import Row
from .small_call import A8, Call
from .spmm_nm import SHAPES, operands
from .timing import context, digits, interleaved, timer

AROUND = {"scale": 1e-3, "out_zero": 128}
CALLS = (Call("qspmm_nm(a, b)", A8, (np.eye(4, dtype=np.int8),)),)


def rows(seconds: float) -> Iterator[Row]:
    """Each shape, with AVX2 too where there is more; and the speed of every variant."""
    for only in ("", "avx2") if beyond_avx2() else ("",):
        yield from (_beside_dense(shape, seconds / 4, only) for shape in SHAPES)
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variants.rows(qspmm_nm, _work, seconds, of_peak=False)


def _operands(m: int, k: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """x uint8 (M, K) and W int8 (N, K), normal numbers as symmetric quantization stores them."""
    x, w = operands(m, k, n)
    x, w = np.clip(np.rint(x * 40 + 120), 0, 255), np.clip(np.rint(w * 35), -127, 127)
    return x.astype(np.uint8), w.astype(np.int8)


def _beside_dense(shape: tuple[int, int, int], seconds: float, only: str) -> Row:
    """How many times as fast as our own dense product, packed, of the same matrices, both requantised."""
    with use(only) if only else nullcontext():
        x, w = _operands(*shape)
        dense, out = qgemm.pack(w.T), np.empty((len(x), len(w)), np.uint8)
        times = interleaved({
            "ours": _ours(x, w),
            "our qgemm": timer("qgemm(x, w, a_zero=120, out=out, **around)", qgemm=qgemm, x=x, w=dense,
                               out=out, around=AROUND)}, seconds)
    measure = f"qspmm_nm 2:4 {'×'.join(map(str, shape))}{f', {only}' * bool(only)}, beside dense qgemm"
    beside = context(times, "ms", lambda seconds: 1000 * seconds)
    beside["weights"] = {"MB": digits(qspmm_nm.pack(w).nbytes / 1e6), "dense": digits(w.nbytes / 1e6)}
    return Row("qspmm_nm", measure, round(times["our qgemm"].median / times["ours"].median, 3), "× qgemm",
               context=beside)


def _ours(x: np.ndarray, w: np.ndarray) -> Timer:
    """The timer of our product, once its result is known to be that of qgemm."""
    packed, out = qspmm_nm.pack(w), np.empty((len(x), len(w)), np.uint8)
    qspmm_nm(x, packed, x_zero=120, out=out, **AROUND)
    if not np.array_equal(out, qgemm(x, np.ascontiguousarray(w.T), a_zero=120, **AROUND)):
        raise RuntimeError("bench: qspmm_nm differs from qgemm")
    return timer("mul(x, w, x_zero=120, out=out, **around)", mul=qspmm_nm, x=x, w=packed, out=out,
                 around=AROUND)


def _work(variant: Variant) -> variants.Work:
    side, m = variants.SIDE, variant.tile[0] if variant.tile else 8
    with use(variant):
        return variants.Work(f"{m}×{side}×{side}, 2:4", m * side**2 // 2, _ours(*_operands(m, side, side)))


def sample(rng: np.random.Generator) -> Sample:
    """The call that the ladder times."""
    parts = qspmm_nm.pack(_operands(1, SIZE, SIZE)[1]).unpack()
    said = f"{SIZE}×{SIZE}×{SIZE}, 2:4"
    return Sample((unsigned(rng, SIZE, SIZE), *parts), {"x_zero": 120, **AROUND}, SIZE * parts[0].size, said)
