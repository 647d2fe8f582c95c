"""qspmm_bsr: 8-bit integers times the transpose of sparse ones in blocks of rows, exact, requantised."""

from typing import Any

import numpy as np

from .arguments import I8
from .block_rows import pack_blocks, seen_by_c, unpack_blocks
from .contract import operand
from .kernel import kernel
from .operand import Operand
from .requantization import all_positive, plan_of_x, requantised


@kernel(x="u8|s8[M,K] rows", blocks=operand("s8[nnz,R]", ("indices", "indptr", "n"), "N,K"),
        indices="u16|s32[nnz]", indptr="s32[rows]", n="s32[1]?", bias="s32[N]?", scale="number|f32|f64[N]?",
        out="s32|u8|s8[M,N] rows")
def qspmm_bsr(x: np.ndarray, blocks: np.ndarray, indices: np.ndarray, indptr: np.ndarray,
              n: np.ndarray | None = None, *, x_zero: int = 0, bias: np.ndarray | None = None,
              scale: float | np.ndarray | None = None, out_zero: int = 0, out_dtype: Any = None,
              clip: tuple[int, int] | None = None, rounding: str = "float") -> np.ndarray:
    """(x − x_zero) · Wᵀ + bias for x uint8 or int8 (M, K) and W (N, K) int8 in blocks of R × 1, R = 4 or 8.

    W and its `pack` are as those of spmm_bsr; x_zero is in x's range. The sum is exact modulo 2³²; without
    `scale` it is the result, int32 (M, N). With scale, one or one for each row of W, it is requantised to
    out_dtype, uint8 or int8 (that of x if not given): out_zero, clip and rounding are as those of qgemm.
    """
    rows = blocks.shape[1]
    acc = np.zeros((x.shape[0], (len(indptr) - 1) * rows))
    whole = x.astype(np.float64) - x_zero  # exact: see qgemm
    for b in range(len(indptr) - 1):
        here = slice(indptr[b], indptr[b + 1])
        acc[:, b * rows:(b + 1) * rows] = whole[:, indices[here]] @ blocks[here].astype(np.float64)
    acc = acc[:, :acc.shape[1] if n is None else int(n[0])]
    acc = (acc.astype(np.int64) + (0 if bias is None else bias)).astype(np.int32)  # modulo 2³²
    if scale is None:
        return acc
    return requantised(acc, scale, out_zero, np.dtype(x.dtype if out_dtype is None else out_dtype), clip,
                       rounding)


def _pack(who: str, x: Any, *given: Any, **more: Any) -> Operand:
    return pack_blocks(who, qspmm_bsr, I8, x, *given, **more)


qspmm_bsr.runs("nn_qspmm_bsr(M, blocks.c, plan.c, x, out)", plan=plan_of_x, pack=_pack, unpack=unpack_blocks,
               seen_by_c=seen_by_c, values=all_positive)
