"""spmm_csr: a float32 matrix times the transpose of a sparse one in compressed sparse rows (CSR)."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import native
from .arguments import F32, I32, U16, array, output, readable_rows
from .kernel import kernel
from .packed import Packed


@kernel
def spmm_csr(x: np.ndarray, values: np.ndarray, indices: np.ndarray, indptr: np.ndarray) -> np.ndarray:
    """x · Wᵀ for x float32 (M, K) and W (N, K) in CSR → float32 (M, N).

    Row n of W has its non-zeros values[indptr[n]:indptr[n+1]] at the columns indices[same slice];
    values float32 (nnz,), indices uint16 or int32 (nnz,), indptr int32 (N+1,). A column named twice adds up.
    `spmm_csr.pack(w)` for a dense w (N, K), or `spmm_csr.pack(values, indices, indptr, k)`, checks them once; call
    it then as `spmm_csr(x, packed)`. Each element is within γ_nnz(row) · (|x| · |W|ᵀ). Raises TypeError, ValueError.
    """
    columns = np.ascontiguousarray(x.T)   # a column of x becomes a row: picking columns is then copying rows
    y = np.empty((x.shape[0], len(indptr) - 1), np.float32)
    for n in range(len(indptr) - 1):
        row = slice(indptr[n], indptr[n + 1])
        y[:, n] = values[row] @ columns[indices[row]]
    return y


def _pack(*given: Any) -> Packed:
    """`pack(w)`, w float32 (N, K), or `pack(values, indices, indptr, k)`."""
    if len(given) == 1:
        return _pack_dense(array("spmm_csr.pack", "w", given[0], 2, F32))
    if len(given) != 4:
        raise TypeError(f"spmm_csr.pack: wanted (w) or (values, indices, indptr, k), got {len(given)} arguments")
    values, indices, indptr, k = given
    values, indices, indptr = _checked("spmm_csr.pack", values, indices, indptr, k)
    return _packed(values.copy(), indices.copy(), indptr.copy(), k)


def _pack_dense(w: np.ndarray) -> Packed:
    n, k = w.shape
    rows, columns = np.nonzero(w)
    if len(rows) > np.iinfo(I32).max:
        raise ValueError(f"spmm_csr.pack: w must have fewer than 2^31 non-zeros, got {len(rows)}")
    indptr = np.zeros(n + 1, I32)
    np.cumsum(np.bincount(rows, minlength=n), out=indptr[1:])
    return _packed(w[rows, columns], columns.astype(U16 if k <= 1 << 16 else I32), indptr, k)


def _packed(values: np.ndarray, indices: np.ndarray, indptr: np.ndarray, k: int) -> Packed:
    return Packed(spmm_csr, (len(indptr) - 1, k), values=values, indices=indices, indptr=indptr)


def _checked(who: str, values: Any, indices: Any, indptr: Any, k: int) -> tuple[np.ndarray, ...]:
    """The three arrays of a valid CSR matrix with k columns, contiguous; or the error that says what is wrong."""
    indptr = array(who, "indptr", indptr, 1, I32)
    if len(indptr) == 0 or indptr[0] != 0 or np.any(np.diff(indptr) < 0):
        raise ValueError(f"{who}: indptr must start with 0 and never fall")
    indices = array(who, "indices", indices, 1, U16, I32)
    if len(indices) != indptr[-1]:
        raise ValueError(f"{who}: indices must have indptr[-1] = {indptr[-1]} elements, got {len(indices)}")
    if len(indices) and not (indices.min() >= 0 and indices.max() < k):
        raise ValueError(f"{who}: indices must be in 0..{k - 1}, got {indices.min()}..{indices.max()}")
    values = array(who, "values", values, 1, F32)
    if len(values) != len(indices):
        raise ValueError(f"{who}: values must have as many elements as indices ({len(indices)}), got {len(values)}")
    return tuple(np.ascontiguousarray(v) for v in (values, indices, indptr))


def _unpack(packed: Packed) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    parts = packed.parts
    return parts["values"], parts["indices"], parts["indptr"]


def _call(x: np.ndarray, values: np.ndarray | Packed, indices: np.ndarray | None = None,
          indptr: np.ndarray | None = None, *, out: np.ndarray | None = None) -> np.ndarray:
    x = array("spmm_csr", "x", x, 2, F32)
    m, k = x.shape
    if type(values) is Packed:
        w = spmm_csr.packed_for(values, "values")
        if indices is not None or indptr is not None:
            raise TypeError("spmm_csr: indices and indptr come with the packed operand, got them twice")
        if w.shape[1] != k:
            raise ValueError(f"spmm_csr: x and the packed W must have the same K, got shapes {x.shape} and {w.shape}")
    else:
        w = _packed(*_checked("spmm_csr", values, indices, indptr, k), k)
    n = w.shape[0]
    if out is None:
        result = np.empty((m, n), F32)
    else:
        result = output("spmm_csr", out, (m, n), F32, x, *w.unpack())
    if spmm_csr.choice == native.NUMPY:
        result[...] = spmm_csr.reference(x, *w.unpack())
    else:
        _run(x, w, result)
    return result if out is None else out


def _run(x: np.ndarray, w: Packed, result: np.ndarray) -> None:
    plan = w.plan
    if plan is None:
        values, indices, indptr = w.unpack()
        plan = w.plan = (native.pointer(values), native.pointer(indices), indices.dtype is I32, native.pointer(indptr))
    m = x.shape[0]
    x = readable_rows(x)
    status = native.lib.nn_spmm_csr(spmm_csr.choice, m, 0, m, *w.shape, native.pointer(x), native.stride(x), *plan,
                                    native.pointer(result), native.stride(result))
    if status:
        native.check("spmm_csr", status)


def _repack(parts: tuple, shape: tuple[int, int]) -> Packed:
    return _pack(*parts, shape[1])


spmm_csr.bind(_call, _pack, _unpack, _repack)
