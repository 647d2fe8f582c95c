"""spmm_csr: a float32 matrix times the transpose of a sparse one in compressed sparse rows (CSR)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import empty, ndarray

from .arguments import F32, I32, READABLE, U16, array, inner, integer, output, readable_rows, usual
from .kernel import kernel
from .native import NUMPY, check, ffi, from_buffer, lib, rows
from .packed import Packed, packed_elsewhere


@kernel
def spmm_csr(x: np.ndarray, values: np.ndarray, indices: np.ndarray, indptr: np.ndarray) -> np.ndarray:
    """x · Wᵀ for x float32 (M, K) and W (N, K) in CSR → float32 (M, N).

    Row n of W has its non-zeros values[indptr[n]:indptr[n+1]] at the columns indices[same slice];
    values float32 (nnz,), indices uint16 or int32 (nnz,), indptr int32 (N+1,). A column named twice adds up.
    `spmm_csr.pack(w)` for a dense w (N, K), or `spmm_csr.pack(values, indices, indptr, k)`, checks them once;
    then call it as `spmm_csr(x, packed)`. `out` takes the result: float32, inner stride 1, sharing no memory
    with an input. Each element is within γ_nnz(row) · (|x| · |W|ᵀ). Raises TypeError, ValueError.
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
        raise TypeError("spmm_csr.pack: the arguments must be w, or values, indices, indptr, k, "
                        f"got {len(given)} of them")
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


def _checked(who: str, values: Any, indices: Any, indptr: Any, k: Any) -> tuple[np.ndarray, ...]:
    """The three arrays of a valid CSR matrix with k columns, contiguous, or an error saying what is wrong."""
    k = integer(who, "k", k, 0, 1 << 31)
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
        raise ValueError(f"{who}: values must have {len(indices)} elements, like indices, got {len(values)}")
    return tuple(np.require(v, requirements=["C", "ALIGNED"]) for v in (values, indices, indptr))


def _unpack(packed: Packed) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    parts = packed.parts
    return parts["values"], parts["indices"], parts["indptr"]


def _call(x: np.ndarray, values: np.ndarray | Packed, indices: np.ndarray | None = None,
          indptr: np.ndarray | None = None, *, out: np.ndarray | None = None) -> np.ndarray:
    if type(x) is not ndarray or x.dtype is not F32 or x.ndim != 2:
        x = array("spmm_csr", "x", x, 2, F32)
    m, k = x.shape
    packed = type(values) is Packed
    if not packed:
        w = _packed(*_checked("spmm_csr", values, indices, indptr, k), k)
    elif values.kernel is not spmm_csr:
        raise packed_elsewhere("spmm_csr", "values", values)
    elif indices is not None or indptr is not None:
        raise TypeError("spmm_csr: a packed W has its indices and indptr with it, got more of them")
    else:
        w = values
    n, k_w = w.shape
    if k != k_w:
        raise inner("spmm_csr", "x", x.shape, "W", w.shape)
    choice = spmm_csr.choice
    ready = x.flags.num & READABLE == READABLE   # C can take it as it lies, and the result too
    if out is None:
        result = empty((m, n), F32)
    elif ready and packed and choice != NUMPY and usual(out, (m, n), F32):
        result = out
    else:
        result = output("spmm_csr", out, (m, n), F32, x, values, indices, indptr)
        ready = False

    if choice == NUMPY:
        result[...] = spmm_csr.reference(x, *w.unpack())
        return result if out is None else out
    if w.plan is None:
        parts = w.unpack()
        w.plan = (*map(ffi.from_buffer, parts), parts[1].dtype is I32)
    if ready:   # as below, 0.4 µs sooner
        status = lib.nn_spmm_csr(choice, m, n, k, from_buffer(x), k, *w.plan, from_buffer(result), n)
    else:
        status = lib.nn_spmm_csr(choice, m, n, k, *rows(readable_rows(x)), *w.plan, *rows(result))
    if status:
        check("spmm_csr", status)
    return result if out is None else out


def _repack(parts: tuple, shape: tuple[int, int]) -> Packed:
    return _pack(*parts, shape[1])


spmm_csr.bind(_call, _pack, _unpack, _repack)
