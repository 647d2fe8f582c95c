"""Compressed sparse rows (CSR): the arrays of a matrix (N, K), checked, and made of a dense one.

Row n has its non-zeros values[indptr[n]:indptr[n+1]] at the columns indices[same slice]: SciPy's `csr_array`.
"""

from typing import Any

import numpy as np

from .arguments import I32, U16, array, integer


def compressed(who: str, dtype: np.dtype, x: Any, *given: Any) -> tuple[dict[str, np.ndarray], int]:
    """values, indices, indptr, and k, of `pack(w)`, w (N, K), or `pack(values, indices, indptr, k)`; a call
    has k from x."""
    if x is None and len(given) == 1:
        w = array(who, "w", given[0], 2, dtype)
        return sparse_rows(who, w), w.shape[1]
    if x is None and len(given) != 4:
        raise TypeError(f"{who}: the arguments must be w, or values, indices, indptr, k, "
                        f"got {len(given)} of them")
    k = integer(who, "k", given[3], 0, 1 << 31) if x is None else x.shape[1]
    return checked(who, *given[:3], k, own=x is None, dtype=dtype), k


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


def checked(who: str, values: Any, indices: Any, indptr: Any, k: int, own: bool, dtype: np.dtype
            ) -> dict[str, np.ndarray]:
    """The three arrays of a matrix of k columns, found to be such; `own`: as copies."""
    indices, indptr = checked_indices(who, indices, indptr, k)
    values = array(who, "values", values, 1, dtype)
    if len(values) != len(indices):
        raise ValueError(f"{who}: values must have {len(indices)} elements, like indices, got {len(values)}")
    # An operand owns its memory; that of one call may be the caller's.
    found = {"values": values, "indices": indices, "indptr": indptr}
    return {name: part.copy() if own else np.require(part, requirements=["C", "ALIGNED"])
            for name, part in found.items()}


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
