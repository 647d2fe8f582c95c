"""Looking entries up by an array of integers that is an input: gather along an axis, and embedding."""

import operator

import numpy as np

from .checks import integers
from .choices import without
from .record import CONSTANT, rule
from .samples import cases, whole
from .shapes import index_grad, pad


def _grid(op, x, index, dim):
    """The index of each entry of y in x: its own place, but `index` along dim."""
    integers(op, "the index is", index)
    dim = range(x.ndim)[dim]
    fits = x.ndim == index.ndim and all(
        have <= n for axis, (have, n) in enumerate(zip(index.shape, x.shape, strict=True)) if axis != dim)
    if not fits:
        raise ValueError(f"{op}: the index has shape {index.shape}, wanted as many axes as the input of "
                         f"shape {x.shape}, none of them longer but axis {dim}")
    if index.size and not 0 <= index.min() <= index.max() < x.shape[dim]:
        raise IndexError(f"{op}: the index goes from {index.min()} to {index.max()}, but axis {dim} of the "
                         f"input of shape {x.shape} goes from 0 to {x.shape[dim] - 1}")
    grid = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    grid[dim] = index
    return tuple(grid)


_places = (whole(3, (5, 4)), {"dim": 0}), (whole(4, (2, 3)), {"dim": 1}), (whole(4, (3, 6)), {"dim": -1})


@rule("y = x[i, index] (of an axis dim = 1, i the place of y);  dx = zeros, with g added there",
    lambda g, saved, needs: (index_grad(g, shape=saved[0], index=tuple(saved[1:])), None),
    samples=cases(*(((3, 4), *place) for place in _places)), saves=CONSTANT, fresh=True, exact=True)
def gather(x, index, *, dim):
    grid = _grid("gather", x, index.copy(), dim)  # a copy: it may be written to before backward
    return x[grid], (x.shape, *grid)


def _scatter_add_vjp(g, saved, needs):
    grid, part, shape = saved
    picked = g[grid]
    if picked.shape != shape:  # entries that the index leaves out have gradient 0
        picked = pad(picked, widths=[(0, n - have.stop) for n, have in zip(shape, part, strict=True)])
    return g, None, picked


@rule("y = x, with s added at index along dim;  dx = g, ds = g at index", _scatter_add_vjp, saves=CONSTANT,
    samples=cases(*(((3, 4), index, size, how) for (index, how), size in
                    zip(_places, ((5, 4), (3, 3), (3, 6)), strict=True))))
def scatter_add(x, index, source, *, dim):
    if source.ndim != index.ndim or any(map(operator.lt, source.shape, index.shape)):
        raise ValueError(f"scatter_add: the source of shape {source.shape} is smaller than the index of "
                         f"shape {index.shape}")
    grid = _grid("scatter_add", x, index.copy(), dim)
    part = tuple(slice(n) for n in index.shape)
    y = x.astype(np.result_type(x, source))
    np.add.at(y, grid, source[part])
    return y, (grid, part, source.shape)


def _learning_rows(w, saved):
    """The rows of w that `indices` name, but zeros for padding_idx, which has no gradient."""
    rows, indices, padding_idx = saved
    y = w[indices]
    return y if padding_idx is None else without(y, (indices == padding_idx % rows)[..., None])


@rule("y = zeros, with g added at i (0 at padding_idx);  dg = v[i], v the gradient in y",
    lambda v, saved, needs: (_learning_rows(v, saved), None), saves=CONSTANT,
    jvp=lambda t, i, saved, out, **attrs: embedding_grad(t, saved[1], **attrs), fresh=True,
    samples=cases(*(((*shape, 3), whole(5, shape), {"rows": 5, **how})
                    for shape, how in (((4,), {}), ((2, 6), {"padding_idx": -2}), ((), {})))))
def embedding_grad(g, indices, *, rows, padding_idx=None):
    """Sorted by row, the gradients of one row lie side by side: one sum each."""
    width = g.shape[-1]
    dw = np.zeros((rows, width), g.dtype)
    if indices.size:
        flat = indices.reshape(-1)
        order = np.argsort(flat, kind="stable")
        ordered = flat[order]
        first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        dw[ordered[first]] = np.add.reduceat(g.reshape(len(flat), width)[order], first, axis=0)
    if padding_idx is not None:
        dw[padding_idx] = 0
    return dw, (rows, indices, padding_idx)


@rule("y = w[i];  dw = zeros, with g added at i (0 at padding_idx)",
    lambda g, saved, needs: (embedding_grad(g, saved[1], rows=saved[0], padding_idx=saved[2]), None),
    jvp=lambda t, i, saved, out, **attrs: _learning_rows(t, saved), saves=CONSTANT, fresh=True, exact=True,
    samples=cases(*(((5, 3), whole(5, shape), {}) for shape in ((4,), (2, 6), ()))))
def embedding(w, indices, *, padding_idx=None):
    integers("embedding", "the indices are", indices)
    if w.ndim != 2:
        raise ValueError(f"embedding: the weight has shape {w.shape}, wanted (rows, width)")
    if indices.size and not 0 <= indices.min() <= indices.max() < len(w):
        raise IndexError(f"embedding: indices from {indices.min()} to {indices.max()} came, but a weight of "
                         f"shape {w.shape} has rows 0 to {len(w) - 1}")
    return w[indices], (len(w), indices.copy(), padding_idx)  # a copy, as above
