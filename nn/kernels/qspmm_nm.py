"""qspmm_nm: 8-bit integers times the transpose of int8 of which N of M are kept, exact, requantised."""

from typing import Any

import numpy as np

from .arguments import I8
from .contract import operand
from .groups import pack_groups, seen_by_c, unpack_groups
from .kernel import kernel
from .operand import Operand
from .requantization import all_positive, plan_of_x, requantised


@kernel(x="u8|s8[M,K] rows", values=operand("s8[N,groups,kept]", ("indices",), "N,K"),
        indices="u8[N,groups,kept]", bias="s32[N]?", scale="number|f32|f64[N]?", out="s32|u8|s8[M,N] rows")
def qspmm_nm(x: np.ndarray, values: np.ndarray, indices: np.ndarray, *, x_zero: int = 0,
             bias: np.ndarray | None = None, scale: float | np.ndarray | None = None, out_zero: int = 0,
             out_dtype: Any = None, clip: tuple[int, int] | None = None, rounding: str = "float"
             ) -> np.ndarray:
    """(x − x_zero) · Wᵀ + bias for x uint8 or int8 (M, K) and W (N, K) int8 of the pattern kept:of.

    W and its `pack` are as those of spmm_nm; x_zero is in x's range. The sum is exact modulo 2³²; without
    `scale` it is the result, int32 (M, N). With scale, one or one for each row of W, it is requantised to
    out_dtype, uint8 or int8 (that of x if not given): out_zero, clip and rounding are as those of qgemm.
    """
    n, groups, _ = values.shape
    of = x.shape[1] // max(groups, 1)
    columns = indices + np.arange(groups)[:, None] * of
    whole, acc = x.astype(np.float64) - x_zero, np.empty((len(x), n))  # exact: see qgemm
    for row in range(n):
        acc[:, row] = whole[:, columns[row].ravel()] @ values[row].ravel().astype(np.float64)
    acc = (acc.astype(np.int64) + (0 if bias is None else bias)).astype(np.int32)  # modulo 2³²
    if scale is None:
        return acc
    return requantised(acc, scale, out_zero, np.dtype(x.dtype if out_dtype is None else out_dtype), clip,
                       rounding)


def _pack(who: str, x: Any, *given: Any, **more: Any) -> Operand:
    return pack_groups(who, qspmm_nm, I8, x, *given, **more)


qspmm_nm.runs("nn_qspmm_nm(M, values.c, plan.c, x, out)", plan=plan_of_x, pack=_pack, unpack=unpack_groups,
              seen_by_c=seen_by_c, values=all_positive)
