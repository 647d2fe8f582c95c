"""qspmm_nm: int8 weights of which 2 of 4 neighbours are kept, beside our own dense qgemm."""

from collections.abc import Iterator

import numpy as np

from nn.kernels import Variant, qspmm_nm, use

from ..ladder.sample import SIZE, Sample, unsigned
from . import variants
from .row import Row
from .small_call import A8, Call
from .sparse_integers import AROUND, beside_dense, in_bytes, ours, with_avx2
from .spmm_nm import SHAPES, operands

CALLS = (Call("qspmm_nm(a, b)", A8, (np.eye(4, dtype=np.int8),)),)


def rows(seconds: float) -> Iterator[Row]:
    """Each shape, with AVX2 too where there is more; and the speed of every variant."""
    for only in with_avx2():
        yield from (_beside_dense(shape, seconds / 4, only) for shape in SHAPES)
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variants.rows(qspmm_nm, _work, seconds, of_peak=False)


def _beside_dense(shape: tuple[int, int, int], seconds: float, only: str) -> Row:
    said = f"2:4 {'×'.join(map(str, shape))}"
    return beside_dense(qspmm_nm, *in_bytes(*operands(*shape)), said, seconds, only)


def _work(variant: Variant) -> variants.Work:
    side, m = variants.SIDE, variant.tile[0] if variant.tile else 8
    with use(variant):
        timed = ours(qspmm_nm, *in_bytes(*operands(m, side, side)))
        return variants.Work(f"{m}×{side}×{side}, 2:4", m * side**2 // 2, timed)


def sample(rng: np.random.Generator) -> Sample:
    """The call that the ladder times."""
    parts = qspmm_nm.pack(in_bytes(*operands(1, SIZE, SIZE))[1]).unpack()
    said = f"{SIZE}×{SIZE}×{SIZE}, 2:4"
    return Sample((unsigned(rng, SIZE, SIZE), *parts), {"x_zero": 120, **AROUND}, SIZE * parts[0].size, said)
