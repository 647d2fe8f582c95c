"""spmm_csr: a float32 matrix times the transpose of a sparse one in compressed sparse rows (CSR)."""

from typing import Any

import numpy as np

from .arguments import F32, I32, U16, array, integer
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


def _pack(who: str, x: Any, *given: Any) -> Operand:
    """`pack(w)`, w float32 (N, K), or `pack(values, indices, indptr, k)`; a call has k from x."""
    if x is None and len(given) == 1:
        return _pack_dense(array(who, "w", given[0], 2, F32))
    if x is None and len(given) != 4:
        raise TypeError(f"{who}: the arguments must be w, or values, indices, indptr, k, "
                        f"got {len(given)} of them")
    k = integer(who, "k", given[3], 0, 1 << 31) if x is None else x.shape[1]
    parts = checked(who, *given[:3], k, own=x is None)
    shape = len(parts["indptr"]) - 1, k
    return Operand(spmm_csr, shape, **(_in_parts(*parts.values(), k) if x is None else parts | {"width": max(k, 1)}))


COLUMNS, LEAST = 256, 24  # of a part about so many; non-zeros of a row in one, on average


def _in_parts(values: np.ndarray, indices: np.ndarray, indptr: np.ndarray, k: int) -> dict[str, Any]:
    """Compressed rows as the C code multiplies them (csrc/spmm.c): first the non-zeros of all rows in the
    first `width` columns, then those in the next; indices count from the first column of their part.

    What is read of x stays in the L1 cache then. Where rows have few non-zeros, to begin a row costs more, so
    that parts are wider; and there is one where a row's columns do not rise from part to part, since nothing
    would say in what order they were."""
    n = len(indptr) - 1
    parts = max(1, min(round(k / COLUMNS), len(values) // max(LEAST * n, 1)))
    width = max(-(-k // parts), 1)
    part, row = indices // width, np.repeat(np.arange(n), np.diff(indptr))
    if np.any((np.diff(part.astype(int)) < 0) & (np.diff(row) == 0)):
        parts, width = 1, max(k, 1)
        part = indices // width
    place = part.astype(int) * n + row
    order = np.argsort(place, kind="stable")
    starts = np.zeros(parts * n + 1, I32)
    np.cumsum(np.bincount(place, minlength=parts * n), out=starts[1:])
    return {"values": values[order], "indices": (indices - part * indices.dtype.type(width))[order],
            "indptr": starts, "width": width}


def _unpack(w: Operand) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """values, indices, indptr, of whole rows."""
    (n, k), values, indices, starts, width = w.shape, *w.parts.values()
    counts = np.diff(starts).reshape(-1, n) if n else np.zeros((1, 0), I32)
    part, row = np.divmod(np.repeat(np.arange(counts.size), counts.ravel()), max(n, 1))
    order = np.argsort(row, kind="stable")
    indptr = np.zeros(n + 1, I32)
    np.cumsum(counts.sum(axis=0), out=indptr[1:])
    return values[order], (indices + (part * width).astype(indices.dtype))[order], indptr


def checked_indices(who: str, indices: Any, indptr: Any, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The columns of compressed rows and where each row begins, found to be such of a matrix of k columns."""
    indptr = array(who, "indptr", indptr, 1, I32)
    if len(indptr) == 0 or indptr[0] != 0 or np.any(np.diff(indptr) < 0):
        raise ValueError(f"{who}: indptr must start with 0 and never fall")
    indices = array(who, "indices", indices, 1, U16, I32)
    if len(indices) != indptr[-1]:
        raise ValueError(f"{who}: indices must have indptr[-1] = {indptr[-1]} elements, got {len(indices)}")
    if len(indices) and not (indices.min() >= 0 and indices.max() < k):
        raise ValueError(f"{who}: indices must be in 0..{k - 1}, got {indices.min()}..{indices.max()}")
    return indices, indptr


def checked(who: str, values: Any, indices: Any, indptr: Any, k: int, own: bool) -> dict[str, np.ndarray]:
    """The three arrays of a matrix of k columns, found to be such; `own`: as copies."""
    indices, indptr = checked_indices(who, indices, indptr, k)
    values = array(who, "values", values, 1, F32)
    if len(values) != len(indices):
        raise ValueError(f"{who}: values must have {len(indices)} elements, like indices, got {len(values)}")
    # An operand owns its memory; that of one call may be the caller's.
    found = {"values": values, "indices": indices, "indptr": indptr}
    return {name: part.copy() if own else np.require(part, requirements=["C", "ALIGNED"])
            for name, part in found.items()}


def _pack_dense(w: np.ndarray) -> Operand:
    return Operand(spmm_csr, w.shape, **_in_parts(*sparse_rows("spmm_csr.pack", w).values(), w.shape[1]))


def sparse_rows(who: str, w: np.ndarray) -> dict[str, np.ndarray]:
    """The non-zeros of w (N, K) as values, indices, indptr."""
    n, k = w.shape
    rows, columns = np.nonzero(w)
    if len(rows) > np.iinfo(I32).max:
        raise ValueError(f"{who}: w must have fewer than 2^31 non-zeros, got {len(rows)}")
    indptr = np.zeros(n + 1, I32)
    np.cumsum(np.bincount(rows, minlength=n), out=indptr[1:])
    return {"values": w[rows, columns], "indices": columns.astype(U16 if k <= 1 << 16 else I32),
            "indptr": indptr}


def _seen_by_c(w: Operand) -> tuple:
    *arrays, width = w.parts.values()
    return (*map(from_buffer, arrays), width, w.parts["indices"].dtype is I32)


spmm_csr.runs("nn_spmm_csr(M, N, K, x, *values.c, out)", pack=_pack, unpack=_unpack, seen_by_c=_seen_by_c)
