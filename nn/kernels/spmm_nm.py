"""spmm_nm: a float32 matrix times the transpose of one of which N of M neighbours in a row are kept."""

from typing import Any

import numpy as np

from .arguments import F32
from .contract import operand
from .groups import pack_groups, seen_by_c, unpack_groups
from .kernel import kernel
from .operand import Operand


@kernel(x="f32[M,K] rows", values=operand("f32[N,groups,kept]", ("indices",), "N,K"),
        indices="u8[N,groups,kept]", out="f32[M,N] rows")
def spmm_nm(x: np.ndarray, values: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """x · Wᵀ for x float32 (M, K) and W (N, K) of the pattern kept:of, such as 2:4 → float32 (M, N).

    Each row of W is cut into groups of `of` = K / groups neighbours; of group g it has the numbers
    values[n, g] at the columns of·g + indices[n, g], 0 elsewhere. A place named twice adds up.
    `spmm_nm.pack(w, kept=2, of=4)` of a dense w (N, K), K a multiple of `of`, or
    `spmm_nm.pack(values, indices, k)`, checks them once. Each element is within γ · (|x| · |W|ᵀ), γ that of
    groups · kept products. 2:4 is fast; other patterns are computed one number after the other.
    """
    n, groups, _ = values.shape
    of = x.shape[1] // max(groups, 1)
    columns = indices + np.arange(groups)[:, None] * of
    y = np.empty((len(x), n), np.result_type(x, values))
    for row in range(n):
        y[:, row] = x[:, columns[row].ravel()] @ values[row].ravel()
    return y


def _pack(who: str, x: Any, *given: Any, **more: Any) -> Operand:
    return pack_groups(who, spmm_nm, F32, x, *given, **more)


spmm_nm.runs("nn_spmm_nm(M, values.c, x, out)", pack=_pack, unpack=unpack_groups, seen_by_c=seen_by_c)
