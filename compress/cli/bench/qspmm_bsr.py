"""qspmm_bsr: an int8 weight pruned in blocks of rows times 64 inputs of uint8, beside our own dense qgemm."""

from collections.abc import Iterator

import numpy as np

from nn.kernels import Variant, qspmm_bsr, use

from ..ladder.sample import SIZE, Sample, unsigned
from . import variants
from .row import Row
from .small_call import A8, B8, Call
from .sparse_integers import AROUND, beside_dense, in_bytes, ours, with_avx2
from .spmm_bsr import SHAPES, operands

CALLS = (Call("qspmm_bsr(a, b)", A8, (B8,)),)


def rows(seconds: float) -> Iterator[Row]:
    """A comparison at each shape, height of blocks and sparsity, with AVX2 too where there is more; and the
    speed of every variant."""
    for only in with_avx2():
        yield from (_beside_dense(shape, height, zeros, seconds / 4, only) for shape in SHAPES
                    for height in (4, 8) for zeros in (0.2, 0.5, 0.9))
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variants.rows(qspmm_bsr, _work, seconds, of_peak=False)


def _beside_dense(shape: tuple[int, int, int], height: int, zeros: float, seconds: float, only: str) -> Row:
    said = f"{'×'.join(map(str, shape))}, blocks of {height}×1, {zeros:.0%} zeros"
    x, w = in_bytes(*operands(shape, height, zeros))
    return beside_dense(qspmm_bsr, x, w, said, seconds, only, rows=height)


def _work(variant: Variant) -> variants.Work:
    x, w = in_bytes(*operands(SHAPES[0], 4, 0.5))
    with use(variant):
        macs = len(x) * int(np.count_nonzero(w))
        return variants.Work("64×1024×1024, 50% zeros", macs, ours(qspmm_bsr, x, w, rows=4))


def sample(rng: np.random.Generator) -> Sample:
    """The call that the ladder times."""
    kept = np.repeat(rng.random((SIZE // 4, SIZE)) < 0.1, 4, axis=0)
    w = (rng.integers(-127, 128, (SIZE, SIZE)) * kept).astype(np.int8)
    parts = qspmm_bsr.pack(w).unpack()
    said = f"{SIZE}×{SIZE}×{SIZE}, 10 % stored, blocks of 4×1"
    return Sample((unsigned(rng, SIZE, SIZE), *parts), {"x_zero": 120, **AROUND}, SIZE * parts[0].size, said)
