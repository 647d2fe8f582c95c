"""qspmm_csr: 8-bit integers times the transpose of sparse ones in compressed rows, exact, requantised."""

from typing import Any

import numpy as np

from .arguments import I8
from .block_rows import cells, seen_by_c, unpack_blocks
from .compressed_rows import compressed
from .contract import operand
from .kernel import kernel
from .operand import Operand
from .requantization import all_positive, plan_of_x, requantised


@kernel(x="u8|s8[M,K] rows", values=operand("s8[nnz]", ("indices", "indptr"), "N,K"), indices="u16|s32[nnz]",
        indptr="s32[rows]", bias="s32[N]?", scale="number|f32|f64[N]?", out="s32|u8|s8[M,N] rows")
def qspmm_csr(x: np.ndarray, values: np.ndarray, indices: np.ndarray, indptr: np.ndarray, *, x_zero: int = 0,
              bias: np.ndarray | None = None, scale: float | np.ndarray | None = None, out_zero: int = 0,
              out_dtype: Any = None, clip: tuple[int, int] | None = None, rounding: str = "float"
              ) -> np.ndarray:
    """(x − x_zero) · Wᵀ + bias for x uint8 or int8 (M, K) and W (N, K) int8 in compressed sparse rows.

    W and its `pack` are as those of spmm_csr; x_zero is in x's range. The sum is exact modulo 2³²; without
    `scale` it is the result, int32 (M, N). With scale, one or one for each row of W, it is requantised to
    out_dtype, uint8 or int8 (that of x if not given): out_zero, clip and rounding are as those of qgemm.
    """
    columns = x.T.astype(np.float64) - x_zero  # exact: see qgemm
    acc = np.empty((x.shape[0], len(indptr) - 1))
    for n in range(len(indptr) - 1):
        row = slice(indptr[n], indptr[n + 1])
        acc[:, n] = values[row].astype(np.float64) @ columns[indices[row]]
    acc = (acc.astype(np.int64) + (0 if bias is None else bias)).astype(np.int32)  # modulo 2³²
    if scale is None:
        return acc
    return requantised(acc, scale, out_zero, np.dtype(x.dtype if out_dtype is None else out_dtype), clip,
                       rounding)


def _pack(who: str, x: Any, *given: Any) -> Operand:
    """`pack(w)`, w int8 (N, K), or `pack(values, indices, indptr, k)`: for C blocks of one row."""
    rows, k = compressed(who, I8, x, *given)
    values, indices, indptr = rows.values()
    n = len(indptr) - 1
    return Operand(qspmm_csr, (n, k), **cells(n, values[:, None], indices, indptr))


def _unpack(w: Operand) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """values, indices, indptr."""
    blocks, indices, indptr, _ = unpack_blocks(w)
    return np.ascontiguousarray(blocks[:, 0]), indices, indptr


qspmm_csr.runs("nn_qspmm_csr(M, values.c, plan.c, x, out)", plan=plan_of_x, pack=_pack, unpack=_unpack,
               seen_by_c=seen_by_c, values=all_positive)
