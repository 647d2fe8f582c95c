"""Sparse matrices in block rows (BSR), whose blocks are R rows × 1 column: checked and packed.

Row r of W is row r % R of the block row b = r // R, whose blocks are blocks[indptr[b]:indptr[b+1]], each a
column of R numbers, at the columns indices[same slice]: SciPy's `bsr_array` with blocks of shape (R, 1).
"""

from typing import Any

import numpy as np

from .arguments import I32, U16, array, integer
from .operand import Operand, aligned

HEIGHTS = (4, 8)  # rows of a block


def pack_blocks(who: str, kernel: Any, dtype: np.dtype, x: Any, *given: Any, **more: Any) -> Operand:
    """The operand of `pack(w, rows=4)` or `pack(blocks, indices, indptr, n, k)`; a call has k from x.

    parts: blocks (nnz, R); indices; indptr; n."""
    if x is None and len(given) + len(more) in (1, 2) and set(more) <= {"rows"}:
        return _of_dense(who, kernel, array(who, "w", given[0], 2, dtype), *given[1:], **more)
    if more or (x is None and len(given) != 5):
        raise TypeError(f"{who}: the arguments must be w and rows, or blocks, indices, indptr, n, k, got "
                        f"{len(given) + len(more)} of them")
    blocks, indices, indptr, n = given[:4]
    k = integer(who, "k", given[4], 0, 1 << 31) if x is None else x.shape[1]
    indptr = array(who, "indptr", indptr, 1, I32)
    if len(indptr) == 0 or indptr[0] != 0 or np.any(np.diff(indptr) < 0):
        raise ValueError(f"{who}: indptr must start with 0 and never fall")
    indices = array(who, "indices", indices, 1, U16, I32)
    if len(indices) != indptr[-1]:
        raise ValueError(f"{who}: indices must have indptr[-1] = {indptr[-1]} elements, got {len(indices)}")
    if len(indices) and not (indices.min() >= 0 and indices.max() < k):
        raise ValueError(f"{who}: indices must be in 0..{k - 1}, got {indices.min()}..{indices.max()}")
    blocks = array(who, "blocks", blocks, 2, dtype)
    if blocks.shape[0] != len(indices) or blocks.shape[1] not in HEIGHTS:
        raise ValueError(f"{who}: blocks must have shape ({len(indices)}, 4) or ({len(indices)}, 8), a block "
                         f"for each of indices, got {blocks.shape}")
    rows, most = blocks.shape[1], (len(indptr) - 1) * blocks.shape[1]
    if isinstance(n, np.ndarray):
        if n.shape != (1,):
            raise ValueError(f"{who}: n must have 1 element, got shape {n.shape}")
        n = n[0]
    n = most if n is None else integer(who, "n", n, max(most - rows + 1, 0), most)
    return _operand(kernel, n, k, blocks, indices, indptr, x is None)


def _of_dense(who: str, kernel: Any, w: np.ndarray, rows: Any = 4) -> Operand:
    """The blocks of a dense w (N, K) that have a number other than 0."""
    if integer(who, "rows", rows, HEIGHTS[0], HEIGHTS[-1]) not in HEIGHTS:
        raise ValueError(f"{who}: rows must be 4 or 8, got {rows}")
    n, k = w.shape
    padded = np.zeros((-(-n // rows) * rows, k), w.dtype)
    padded[:n] = w
    padded = padded.reshape(len(padded) // rows, rows, k)
    row, column = np.nonzero(padded.any(axis=1))
    if len(row) > np.iinfo(I32).max:
        raise ValueError(f"{who}: w must have fewer than 2^31 blocks that are not 0, got {len(row)}")
    indptr = np.zeros(len(padded) + 1, I32)
    np.cumsum(np.bincount(row, minlength=len(padded)), out=indptr[1:])
    indices = column.astype(U16 if k <= 1 << 16 else I32)
    return _operand(kernel, n, k, padded[row, :, column], indices, indptr, True)


def _operand(kernel: Any, n: int, k: int, blocks: np.ndarray, indices: np.ndarray, indptr: np.ndarray,
             lasts: bool) -> Operand:
    """An operand owns its memory; that of one call may be the caller's."""
    if lasts:
        own = aligned(blocks.shape, blocks.dtype)
        own[...] = blocks
        blocks, indices, indptr = own, indices.copy(), indptr.copy()
    else:
        blocks, indices, indptr = (np.require(part, requirements=["C", "ALIGNED"])
                                   for part in (blocks, indices, indptr))
    return Operand(kernel, (n, k), blocks=blocks, indices=indices, indptr=indptr, n=n)


def unpack_blocks(w: Operand) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """blocks, indices, indptr, n."""
    blocks, indices, indptr, n = (w.parts[name] for name in ("blocks", "indices", "indptr", "n"))
    return blocks, indices, indptr, np.array([n], I32)
