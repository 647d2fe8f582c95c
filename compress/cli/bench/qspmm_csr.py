"""qspmm_csr: an int8 weight pruned number by number times inputs of uint8, beside our own dense qgemm."""

from collections.abc import Iterator

import numpy as np

from nn.kernels import Variant, qspmm_csr, use

from ..ladder.sample import SIZE, Sample, unsigned
from . import variants
from .row import Row
from .small_call import A8, B8, Call
from .sparse_integers import AROUND, beside_dense, in_bytes, ours, with_avx2

SHAPES = ((64, 1024, 1024), (16, 1024, 1024), (1, 1024, 1024), (64, 256, 256))  # M, K, N
CALLS = (Call("qspmm_csr(a, b)", A8, (B8,)),)


def rows(seconds: float) -> Iterator[Row]:
    """A comparison at each shape and sparsity, with AVX2 too where there is more; and every variant."""
    for only in with_avx2():
        yield from (_beside_dense(shape, zeros, seconds / 4, only) for shape in SHAPES
                    for zeros in (0.8, 0.9, 0.95))
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variants.rows(qspmm_csr, _work, seconds, of_peak=False)


def _operands(shape: tuple[int, int, int], zeros: float) -> tuple[np.ndarray, np.ndarray]:
    """x uint8 (M, K), and W int8 (N, K) with this share of zeros."""
    (m, k, n), rng = shape, np.random.default_rng(0)
    x, w = in_bytes(rng.standard_normal((m, k)), rng.standard_normal((n, k)))
    w[rng.random((n, k)) < zeros] = 0
    return x, w


def _beside_dense(shape: tuple[int, int, int], zeros: float, seconds: float, only: str) -> Row:
    said = f"{'×'.join(map(str, shape))}, {zeros:.0%} zeros"
    return beside_dense(qspmm_csr, *_operands(shape, zeros), said, seconds, only)


def _work(variant: Variant) -> variants.Work:
    x, w = _operands(SHAPES[0], 0.9)
    with use(variant):
        macs = len(x) * int(np.count_nonzero(w))
        return variants.Work("64×1024×1024, 90% zeros", macs, ours(qspmm_csr, x, w))


def sample(rng: np.random.Generator) -> Sample:
    """The call that the ladder times."""
    w = (rng.integers(-127, 128, (SIZE, SIZE)) * (rng.random((SIZE, SIZE)) < 0.1)).astype(np.int8)
    parts = qspmm_csr.pack(w).unpack()
    said = f"{SIZE}×{SIZE}×{SIZE}, 10 % stored"
    return Sample((unsigned(rng, SIZE, SIZE), *parts), {"x_zero": 120, **AROUND}, SIZE * len(parts[0]), said)
