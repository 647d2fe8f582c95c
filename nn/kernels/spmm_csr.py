"""spmm_csr: a float32 matrix times the transpose of a sparse one in compressed sparse rows (CSR)."""

from typing import Any

import numpy as np

from .arguments import F32, I32
from .compressed_rows import compressed
from .contract import operand
from .kernel import kernel
from .native import from_buffer
from .operand import Operand


@kernel(x="f32[M,K] rows", values=operand("f32[nnz]", ("indices", "indptr"), "N,K"), indices="u16|s32[nnz]",
        indptr="s32[rows]", out="f32[M,N] rows")
def spmm_csr(x: np.ndarray, values: np.ndarray, indices: np.ndarray, indptr: np.ndarray) -> np.ndarray:
    """x · Wᵀ for x float32 (M, K) and W (N, K) in CSR → float32 (M, N).

    Row n of W has its non-zeros values[indptr[n]:indptr[n+1]] at the columns indices[same slice]. A column
    named twice adds up. `spmm_csr.pack(w)` of a dense w (N, K), or `spmm_csr.pack(values, indices, indptr,
    k)`, checks them once. Each element is within γ_nnz(row) · (|x| · |W|ᵀ).
    """
    columns = np.ascontiguousarray(x.T)  # a column of x becomes a row: picking columns is then copying rows
    y = np.empty((x.shape[0], len(indptr) - 1), np.result_type(x, values))
    for n in range(len(indptr) - 1):
        row = slice(indptr[n], indptr[n + 1])
        y[:, n] = values[row] @ columns[indices[row]]
    return y


COLUMNS, LEAST = 256, 24  # of a part about so many; non-zeros of a row in one, on average


def _pack(who: str, x: Any, *given: Any) -> Operand:
    """`pack(w)`, w float32 (N, K), or `pack(values, indices, indptr, k)`; a call has k from x."""
    rows, k = compressed(who, F32, x, *given)
    parts = rows | {"width": max(k, 1)} if x is not None else _in_parts(*rows.values(), k)
    return Operand(spmm_csr, (len(rows["indptr"]) - 1, k), **parts)


def _in_parts(values: np.ndarray, indices: np.ndarray, indptr: np.ndarray, k: int) -> dict[str, Any]:
    """Compressed rows as the C code multiplies them (csrc/spmm.c): first the non-zeros of all rows in the
    first `width` columns, then those in the next; indices count from the first column of their part.

    What is read of x stays in the L1 cache then. Where rows have few non-zeros, to begin a row costs more, so
    that parts are wider; and there is one where a row's columns do not rise from part to part, since nothing
    would say in what order they were."""
    n = len(indptr) - 1
    parts = max(1, min(round(k / COLUMNS), len(values) // max(LEAST * n, 1)))
    width = max(-(-k // parts), 1)
    part, row = indices.astype(int) // width, np.repeat(np.arange(n), np.diff(indptr))
    if np.any((np.diff(part) < 0) & (np.diff(row) == 0)):
        parts, width, part = 1, max(k, 1), np.zeros_like(part)
    place = part * n + row
    order = np.argsort(place, kind="stable")
    starts = np.zeros(parts * n + 1, I32)
    np.cumsum(np.bincount(place, minlength=parts * n), out=starts[1:])
    return {"values": values[order], "indices": (indices - part * width).astype(indices.dtype)[order],
            "indptr": starts, "width": width}


def _unpack(w: Operand) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """values, indices, indptr, of whole rows."""
    n, (values, indices, starts, width) = w.shape[0], w.parts.values()
    counts = np.diff(starts).reshape(-1, n) if n else np.zeros((1, 0), I32)
    part, row = np.divmod(np.repeat(np.arange(counts.size), counts.ravel()), max(n, 1))
    order = np.argsort(row, kind="stable")
    indptr = np.zeros(n + 1, I32)
    np.cumsum(counts.sum(axis=0), out=indptr[1:])
    return values[order], (indices + (part * width).astype(indices.dtype))[order], indptr


def _seen_by_c(w: Operand) -> tuple:
    *arrays, width = w.parts.values()
    return (*map(from_buffer, arrays), width, w.parts["indices"].dtype is I32)


spmm_csr.runs("nn_spmm_csr(M, N, K, x, *values.c, out)", pack=_pack, unpack=_unpack, seen_by_c=_seen_by_c)
