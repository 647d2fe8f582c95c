"""spmm_bsr: a 1024×1024 weight pruned in blocks of rows times 64 inputs, beside our own gemm and spmm_csr."""

from collections.abc import Iterator
from contextlib import nullcontext
from timeit import Timer

import numpy as np

from nn.kernels import Variant, gemm, spmm_bsr, spmm_csr, use

from ..ladder.sample import SIZE, Sample, floats
from . import variants
from .gemm import beyond_avx2
from .row import Row
from .small_call import A, B, Call
from .timing import context, interleaved, timer

SHAPES = ((64, 1024, 1024), (256, 256, 256))  # M, K, N
BARS = {((64, 1024, 1024), 4, 0.5): 1.5, ((64, 1024, 1024), 4, 0.9): 6.0}  # shape, rows of a block, zeros
CALLS = (Call("spmm_bsr(a, b)", A, (B,)),)


def rows(seconds: float) -> Iterator[Row]:
    """A comparison at each shape, height of blocks and sparsity, with AVX2 too where there is more; and the
    speed of every variant."""
    for only in ("", "avx2") if beyond_avx2() else ("",):
        yield from (_beside_dense(shape, height, zeros, seconds / 4, only) for shape in SHAPES
                    for height in (4, 8) for zeros in (0.2, 0.5, 0.9))
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variants.rows(spmm_bsr, _work, seconds, of_peak=False)


def operands(shape: tuple[int, int, int], height: int, zeros: float) -> tuple[np.ndarray, np.ndarray]:
    """x (M, K) and a dense W (N, K) with this share of zeros, in blocks of so many rows."""
    (m, k, n), rng = shape, np.random.default_rng(0)
    kept = np.repeat(rng.random((n // height, k)) >= zeros, height, axis=0)
    w = np.where(kept, rng.standard_normal((n, k), np.float32), np.float32(0))
    return rng.standard_normal((m, k), np.float32), w


def _beside_dense(shape: tuple[int, int, int], height: int, zeros: float, seconds: float, only: str) -> Row:
    """How many times as fast as our own dense product, packed, of the same matrices."""
    with use(only) if only else nullcontext():
        x, w = operands(shape, height, zeros)
        out, dense, sparse = np.empty((len(x), len(w)), np.float32), gemm.pack(w.T), spmm_csr.pack(w)
        times = interleaved({
            "ours": _ours(x, w, height),
            "our gemm": timer("gemm(x, w, out=out)", gemm=gemm, x=x, w=dense, out=out),
            "our spmm_csr": timer("mul(x, w, out=out)", mul=spmm_csr, x=x, w=sparse, out=out)}, seconds)
    measure = (f"spmm_bsr {'×'.join(map(str, shape))}, blocks of {height}×1, {zeros:.0%} zeros"
               f"{f', {only}' * bool(only)}, beside dense gemm")
    return Row("spmm_bsr", measure, round(times["our gemm"].median / times["ours"].median, 3), "× gemm",
               BARS.get((shape, height, zeros)), context=context(times, "ms", lambda seconds: 1000 * seconds))


def _ours(x: np.ndarray, w: np.ndarray, height: int) -> Timer:
    """The timer of our product, once its result is known to be right."""
    packed = spmm_bsr.pack(w, height)
    out = np.empty((len(x), len(w)), np.float32)
    if not np.allclose(spmm_bsr(x, packed, out=out), x.astype(np.float64) @ w.T, atol=1e-3):
        raise RuntimeError("bench: spmm_bsr differs from its specification")
    return timer("spmm_bsr(x, w, out=out)", spmm_bsr=spmm_bsr, x=x, w=packed, out=out)


def _work(variant: Variant) -> variants.Work:
    x, w = operands(SHAPES[0], 4, 0.5)
    with use(variant):
        return variants.Work("64×1024×1024, 50% zeros", len(x) * int(np.count_nonzero(w)), _ours(x, w, 4))


def sample(rng: np.random.Generator) -> Sample:
    """The call that the ladder times."""
    kept = np.repeat(rng.random((SIZE // 4, SIZE)) < 0.1, 4, axis=0)
    parts = spmm_bsr.pack(floats(rng, SIZE, SIZE) * kept).unpack()
    said = f"{SIZE}×{SIZE}×{SIZE}, 10 % stored, blocks of 4×1"
    return Sample((floats(rng, SIZE, SIZE), *parts), {}, SIZE * parts[0].size, said)
