"""Sparse matrices of the pattern N:M: of each M neighbouring columns of a row at most N are kept. Their
packing; N is here `kept`, M is `of`.

Kept j of group g of row r is the number values[r, g, j] in column of·g + indices[r, g, j]. The pattern 2:4
(Mishra et al. 2021) is what the C code reads quickly, and is packed for it; any other stays as it is.

Of 2:4, panels of 16 rows of W, which are 16 columns of the result; of each a unit for 8 groups, 32 k:

    float32    17 lines of 64 bytes: a word a column, whose bits 4g + 2j … are index j of group g; then for
               each g and j the 16 values
    int8        5 lines of 64 bytes: bits 2l … of byte 4c + i are the index of that byte of value line l; then
               four value lines, in whose l-th byte 4c + i is, of column c, value i % 2 of group 2l + i // 2
"""

from typing import Any

import numpy as np

from .arguments import F32, I8, I32, U8, U32, array, integer
from .native import ffi, from_buffer
from .operand import PANEL, Operand, aligned

GROUPS = 8  # of a unit
LINES = {F32: 17, I8: 5}


def pack_groups(who: str, kernel: Any, dtype: np.dtype, x: Any, *given: Any, **more: Any) -> Operand:
    """The operand of `pack(w, kept=2, of=4)` or `pack(values, indices, k)`; a call has k from x.

    parts: units, of 2:4 as above, or values and indices; of int8 the sums of the rows of W, and of the
    magnitudes of their negative numbers; kept and of."""
    if x is None and len(given) + len(more) in (1, 2, 3) and set(more) <= {"kept", "of"} and (
            more or len(given) == 1 or not isinstance(given[1], np.ndarray)):
        return _of_dense(who, kernel, array(who, "w", given[0], 2, dtype), *given[1:], **more)
    if more or (x is None and len(given) != 3):
        raise TypeError(f"{who}: the arguments must be w, kept, of, or values, indices, k, got "
                        f"{len(given) + len(more)} of them")
    values, indices = array(who, "values", given[0], 3, dtype), array(who, "indices", given[1], 3, U8)
    k = integer(who, "k", given[2], 0, 1 << 31) if x is None else x.shape[1]
    groups = values.shape[1]
    if indices.shape != values.shape:
        raise ValueError(f"{who}: indices must have shape {values.shape}, like values, got {indices.shape}")
    if k % groups if groups else k:
        raise ValueError(f"{who}: K must be a multiple of the number of groups of values, got K = {k} and "
                         f"values of shape {values.shape}")
    of = k // groups if groups else 4
    if indices.size and indices.max() >= of:
        raise ValueError(f"{who}: indices must be in 0..{of - 1}, the places of a group, got {indices.max()}")
    values, indices = (np.require(part, requirements=["C", "ALIGNED"]) for part in (values, indices))
    return _operand(kernel, k, of, values, indices, x is None)


def _of_dense(who: str, kernel: Any, w: np.ndarray, kept: Any = 2, of: Any = 4) -> Operand:
    of = integer(who, "of", of, 1, 256)
    kept = integer(who, "kept", kept, 1, of)
    n, k = w.shape
    if k % of:
        raise ValueError(f"{who}: the columns of w must be a multiple of {of} for the pattern {kept}:{of}, "
                         f"got shape {w.shape}")
    w = w.reshape(n, k // of, of)
    count = np.count_nonzero(w, axis=2)
    if count.size and count.max() > kept:
        row, group = np.argwhere(count > kept)[0]
        raise ValueError(f"{who}: w must have at most {kept} numbers other than 0 in each group of {of}, got "
                         f"{count[row, group]} in row {row}, group {group}")
    # Those that are not 0, in order, and where there are fewer, the first zeros.
    indices = np.sort(np.argsort(w == 0, axis=2, kind="stable")[..., :kept], axis=2).astype(U8)
    return _operand(kernel, k, of, np.take_along_axis(w, indices.astype(int), axis=2), indices, True)


def _operand(kernel: Any, k: int, of: int, values: np.ndarray, indices: np.ndarray, lasts: bool) -> Operand:
    n, _, kept = values.shape
    parts = {}
    if (kept, of) == (2, 4):
        parts["units"] = _units(values, indices)
    else:
        parts |= {name: part.copy() if lasts else part
                  for name, part in (("values", values), ("indices", indices))}
    if values.dtype is I8:
        parts["sums"], parts["negative"] = np.zeros((2, -(-n // PANEL) * PANEL), I32)
        parts["sums"][:n] = values.sum(axis=(1, 2), dtype=I32)
        parts["negative"][:n] = -np.minimum(values, 0).sum(axis=(1, 2), dtype=I32)
    return Operand(kernel, (n, k), **parts, kept=kept, of=of)


def _units(values: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """(panels, units, lines, 16 words)."""
    n, groups, _ = values.shape
    panels, units = -(-n // PANEL), -(-groups // GROUPS)
    made = aligned((panels, units, LINES[values.dtype], PANEL), U32)
    padded = np.zeros((2, panels * PANEL, units * GROUPS, 2), U32)
    padded[0, :n, :groups] = values.view(U32 if values.dtype is F32 else U8)
    padded[1, :n, :groups] = indices
    numbers, places = padded.reshape(2, panels, PANEL, units, GROUPS, 2).transpose(0, 1, 3, 4, 5, 2)
    if values.dtype is F32:
        for g in range(GROUPS):
            for j in range(2):
                made[:, :, 0] |= places[:, :, g, j] << U32.type(4 * g + 2 * j)
                made[:, :, 1 + 2 * g + j] = numbers[:, :, g, j]
    else:
        for line in range(4):
            for i in range(4):
                g, j = line * 2 + i // 2, i % 2
                made[:, :, 0] |= places[:, :, g, j] << U32.type(8 * i + 2 * line)
                made[:, :, 1 + line] |= numbers[:, :, g, j] << U32.type(8 * i)
    return made


def unpack_groups(w: Operand) -> tuple[np.ndarray, np.ndarray]:
    """values and indices."""
    if "units" not in w.parts:
        return w.parts["values"], w.parts["indices"]
    (n, k), made = w.shape, w.parts["units"]
    dtype = next(d for d, lines in LINES.items() if made.shape[2] == lines)
    numbers, places = np.empty((2, *made.shape[:2], GROUPS, 2, PANEL), U32)
    for g in range(GROUPS):
        for j in range(2):
            if dtype is F32:
                numbers[:, :, g, j] = made[:, :, 1 + 2 * g + j]
                places[:, :, g, j] = made[:, :, 0] >> U32.type(4 * g + 2 * j) & U32.type(3)
            else:
                byte = U32.type(8 * (g % 2 * 2 + j))
                numbers[:, :, g, j] = made[:, :, 1 + g // 2] >> byte & U32.type(255)
                places[:, :, g, j] = made[:, :, 0] >> byte + U32.type(g // 2 * 2) & U32.type(3)
    numbers, places = (np.moveaxis(x, 4, 1).reshape(made.shape[0] * PANEL, made.shape[1] * GROUPS, 2)
                       [:n, :k // 4] for x in (numbers, places))
    values = np.ascontiguousarray(numbers).view(F32) if dtype is F32 else numbers.astype(U8).view(I8)
    return np.ascontiguousarray(values), places.astype(U8)


def seen_by_c(w: Operand) -> Any:
    """The struct nn_nm_w."""
    (n, k), of = w.shape, w.parts["of"]
    parts = {name: from_buffer(part) if isinstance(part, np.ndarray) else part
             for name, part in w.parts.items()}
    return ffi.new("nn_nm_w *", {**parts, "n": n, "k": k, "groups": k // of if of else 0})
