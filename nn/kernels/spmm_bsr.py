"""spmm_bsr: a float32 matrix times the transpose of a sparse one whose non-zeros come in blocks of rows."""

from typing import Any

import numpy as np

from .arguments import F32
from .block_rows import pack_blocks, seen_by_c, unpack_blocks
from .contract import operand
from .kernel import kernel
from .operand import Operand


@kernel(x="f32[M,K] rows", blocks=operand("f32[nnz,R]", ("indices", "indptr", "n"), "N,K"),
        indices="u16|s32[nnz]", indptr="s32[rows]", n="s32[1]?", out="f32[M,N] rows")
def spmm_bsr(x: np.ndarray, blocks: np.ndarray, indices: np.ndarray, indptr: np.ndarray,
             n: np.ndarray | None = None) -> np.ndarray:
    """x · Wᵀ for x float32 (M, K) and W (N, K) in blocks of R × 1, R = 4 or 8 → float32 (M, N).

    The R rows b·R, b·R + 1, … of W have the blocks blocks[indptr[b]:indptr[b+1]], columns of R numbers, at
    the columns indices[same slice] (SciPy's bsr_array). A block named twice adds up. n: N, where the last
    rows of blocks have fewer than R rows of W; what they hold beyond is not read. `spmm_bsr.pack(w, rows=4)`
    of a dense w (N, K), or `spmm_bsr.pack(blocks, indices, indptr, n, k)`, checks them once. Each element is
    within γ_blocks(row) · (|x| · |W|ᵀ).
    """
    rows = blocks.shape[1]
    y = np.zeros((x.shape[0], (len(indptr) - 1) * rows), np.result_type(x, blocks))
    for b in range(len(indptr) - 1):
        here = slice(indptr[b], indptr[b + 1])
        y[:, b * rows:(b + 1) * rows] = x[:, indices[here]] @ blocks[here]
    return np.ascontiguousarray(y[:, :y.shape[1] if n is None else int(n[0])])


def _pack(who: str, x: Any, *given: Any, **more: Any) -> Operand:
    return pack_blocks(who, spmm_bsr, F32, x, *given, **more)


spmm_bsr.runs("nn_spmm_bsr(M, blocks.c, x, out)", pack=_pack, unpack=unpack_blocks, seen_by_c=seen_by_c)
