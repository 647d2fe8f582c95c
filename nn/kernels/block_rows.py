"""Sparse matrices in block rows (BSR), whose blocks are R rows × 1 column: checked and packed.

Row r of W is row r % R of the block row b = r // R, whose blocks are blocks[indptr[b]:indptr[b+1]], each a
column of R numbers, at the columns indices[same slice]: SciPy's `bsr_array` with blocks of shape (R, 1).
"""

from typing import Any

import numpy as np

from .arguments import I8, I32, U16, array, integer
from .compressed_rows import checked_indices
from .native import ffi, from_buffer
from .operand import PANEL, Operand, aligned

HEIGHTS = (4, 8)  # rows of a block
QUAD = 4  # blocks of a cell


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
    indices, indptr = checked_indices(who, indices, indptr, k)
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
    if blocks.dtype is I8:
        return Operand(kernel, (n, k), **cells(n, blocks, indices, indptr))
    if lasts:
        own = aligned(blocks.shape, blocks.dtype)
        own[...] = blocks
        blocks, indices, indptr = own, indices.copy(), indptr.copy()
    else:
        blocks, indices, indptr = (np.require(part, requirements=["C", "ALIGNED"])
                                   for part in (blocks, indices, indptr))
    return Operand(kernel, (n, k), blocks=blocks, indices=indices, indptr=indptr, n=n)


def cells(n: int, blocks: np.ndarray, indices: np.ndarray, indptr: np.ndarray) -> dict[str, np.ndarray]:
    """The parts of an operand whose blocks are of int8, as the C code multiplies them (csrc/bsr.h): four as a
    cell (cells, R, 4), a row of blocks filled up with zeros; their indices; the cells of each row of blocks;
    sums of the rows of W. R may be 1."""
    rows, first = blocks.shape[1], np.zeros(len(indptr), I32)
    np.cumsum(-(-np.diff(indptr) // QUAD), out=first[1:])
    places = _places(indptr, first)
    made, own = aligned((first[-1], rows, QUAD), I8), np.zeros(QUAD * first[-1], indices.dtype)
    made[places // QUAD, :, places % QUAD] = blocks
    own[places] = indices
    most = (len(indptr) - 1) * rows
    sums, negative = np.zeros((2, -(-most // PANEL) * PANEL), I32)
    for of, numbers in (sums, blocks), (negative, -np.minimum(blocks, 0, dtype=I32)):
        until = np.concatenate([np.zeros((1, rows), int), np.cumsum(numbers, axis=0, dtype=int)])
        of[:most] = (until[indptr[1:]] - until[indptr[:-1]]).ravel()
    return {"blocks": made, "indices": own, "first": first, "sums": sums, "negative": negative,
            "indptr": indptr.copy(), "n": n}


def _places(indptr: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Where each block is among those of all cells."""
    before = np.repeat(QUAD * first[:-1] - indptr[:-1], np.diff(indptr))
    return np.arange(indptr[-1]) + before


def unpack_blocks(w: Operand) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """blocks, indices, indptr, n."""
    blocks, indices, indptr, n = (w.parts[name] for name in ("blocks", "indices", "indptr", "n"))
    if "first" in w.parts:
        places = _places(indptr, w.parts["first"])
        blocks, indices = blocks[places // QUAD, :, places % QUAD], indices[places]
    return blocks, indices, indptr, np.array([n], I32)


def seen_by_c(w: Operand) -> Any:
    """The struct nn_bsr_w."""
    (n, k), parts = w.shape, w.parts
    arrays = {"first": parts["indptr"], **parts}
    del arrays["indptr"], arrays["n"]
    return ffi.new("nn_bsr_w *", {**{name: from_buffer(x) for name, x in arrays.items()}, "n": n, "k": k,
                                  "rows": parts["blocks"].shape[1], "wide": parts["indices"].dtype is I32})
