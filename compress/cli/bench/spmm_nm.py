"""spmm_nm: weights of which 2 of 4 neighbours are kept, beside our own dense gemm."""

from collections.abc import Iterator
from contextlib import nullcontext
from timeit import Timer

import numpy as np

from nn.kernels import Variant, gemm, spmm_nm, use

from ..ladder.sample import SIZE, Sample, floats
from . import variants
from .gemm import beyond_avx2
from .row import Row
from .small_call import A, Call
from .timing import context, digits, interleaved, timer

SHAPES = ((1, 4096, 4096), (8, 4096, 1024), (64, 1024, 1024))  # M, K, N
CALLS = (Call("spmm_nm(a, b)", A, (np.eye(4, dtype=np.float32),)),)


def rows(seconds: float) -> Iterator[Row]:
    """Each shape, with AVX2 too where there is more; and the speed of every variant."""
    for only in ("", "avx2") if beyond_avx2() else ("",):
        yield from (_beside_dense(shape, seconds / 4, only) for shape in SHAPES)
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variants.rows(spmm_nm, _work, seconds, of_peak=False)


def operands(m: int, k: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """x (M, K) and W (N, K), of which in each group the two of the largest magnitude are kept."""
    rng = np.random.default_rng(0)
    w = rng.standard_normal((n, k // 4, 4), np.float32)
    np.put_along_axis(w, np.argsort(np.abs(w), axis=2)[..., :2], 0, axis=2)
    return rng.standard_normal((m, k), np.float32), w.reshape(n, k)


def _beside_dense(shape: tuple[int, int, int], seconds: float, only: str) -> Row:
    """How many times as fast as our own dense product, packed, of the same matrices."""
    with use(only) if only else nullcontext():
        x, w = operands(*shape)
        dense, out = gemm.pack(w.T), np.empty((len(x), len(w)), np.float32)
        times = interleaved({"ours": _ours(x, w), "our gemm": timer("gemm(x, w, out=out)", gemm=gemm, x=x,
                                                                    w=dense, out=out)}, seconds)
    measure = f"spmm_nm 2:4 {'×'.join(map(str, shape))}{f', {only}' * bool(only)}, beside dense gemm"
    beside = context(times, "ms", lambda seconds: 1000 * seconds)
    beside["weights"] = {"MB": digits(spmm_nm.pack(w).nbytes / 1e6), "dense": digits(dense.nbytes / 1e6)}
    return Row("spmm_nm", measure, round(times["our gemm"].median / times["ours"].median, 3), "× gemm",
               context=beside)


def _ours(x: np.ndarray, w: np.ndarray) -> Timer:
    """The timer of our product, once its result is known to be right."""
    packed, out = spmm_nm.pack(w), np.empty((len(x), len(w)), np.float32)
    if not np.allclose(spmm_nm(x, packed, out=out), x.astype(np.float64) @ w.T, atol=1e-3):
        raise RuntimeError("bench: spmm_nm differs from its specification")
    return timer("spmm_nm(x, w, out=out)", spmm_nm=spmm_nm, x=x, w=packed, out=out)


def _work(variant: Variant) -> variants.Work:
    side, m = variants.SIDE, variant.tile[0] if variant.tile else 8
    with use(variant):
        return variants.Work(f"{m}×{side}×{side}, 2:4", m * side**2 // 2, _ours(*operands(m, side, side)))


def sample(rng: np.random.Generator) -> Sample:
    """The call that the ladder times."""
    parts = spmm_nm.pack(operands(1, SIZE, SIZE)[1]).unpack()
    said = f"{SIZE}×{SIZE}×{SIZE}, 2:4"
    return Sample((floats(rng, SIZE, SIZE), *parts), {}, SIZE * parts[0].size, said)
