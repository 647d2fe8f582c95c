"""What becomes of each axis of an operation's inputs: one line a family of operations.

    axes(node, shapes)[i][a] = j

says that the entries along axis `a` of input i become, one by one and in their places, those along axis `j`
of the output; an axis of length 1 may be repeated there (broadcasting). None says that the operation acts
along the axis: it sums, mixes, moves or drops entries. So relu has no None, softmax has one at `dim`, and a
convolution keeps the examples apart and mixes channels and pixels:

    conv2d: x (0, None, None, None), w (1, None, None, None), bias (1,)

From this follow where the batch is (batch.py), how a layout is translated, and which channels go together.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import mul
from typing import Any

import numpy as np

from .rules import RULES
from .rules.einsum import _parse
from .rules.record import elementwise
from .sizes import at, names_in

Shape = tuple[Any, ...]  # of ints and Sizes
Map = tuple["int | None", ...]


def axes(node: Any, shapes: Sequence[Shape | None]) -> list[Map]:
    """For each input of a node, which axis of the output each of its axes becomes, or None where the
    operation acts along it. shapes: those of the inputs, None for one that is None. A rule may have `axes`
    of its own. Raises KeyError for an operation of which nothing is known."""
    own = getattr(RULES[node.op], "axes", None)
    maps = own(shapes, node.attrs) if own else AXES[node.op](node, shapes)
    return [() if shape is None else tuple(made) for made, shape in zip(maps, shapes, strict=True)]


def factors(before: Shape, after: Shape) -> list[tuple[range, range]]:
    """Which axes a reshape makes of which: the smallest groups of neighbours, before and after, that have the
    same number of entries. A length of 1 goes with its left neighbour, if there is one."""
    before, after = ([*accumulate((n or _PRIMES[-1] for n in shape), mul)] for shape in primes(before, after))
    groups, i, j = [], 0, 0
    for product in [*sorted({1, *after} & {*before}), math.inf]:  # groups end where the products meet
        a, b = bisect_right(before, product), bisect_right(after, product)
        if (a, b) != (i, j):
            groups.append((range(i, a), range(j, b)))
        i, j = a, b
    return groups


def primes(*shapes: Shape) -> tuple[tuple[int, ...], ...]:
    """The shapes with a large prime for each named dimension: different Sizes are then different numbers."""
    return at(shapes, dict(zip(sorted(names_in(shapes)), _PRIMES, strict=False)))


_PRIMES = [10**6 + k for k in (3, 33, 37, 39, 81, 99, 117)]  # the last stands for 0


def _dims(node, shape):
    """The axes `dim`, all of them for None."""
    dim = node.attrs["dim"]
    dims = range(len(shape)) if dim is None else dim if isinstance(dim, tuple) else (dim,) if shape else ()
    return {dim % len(shape) for dim in dims}


def _along(node, shapes):
    """Entry by entry, but for the axes `dim`, along which the operation acts."""
    acts = _dims(node, shapes[0])
    return [[None if a in acts else a for a in range(len(shape))] for shape in shapes]


def _reduction(node, shapes):
    """The axes that are left move up, unless keepdim leaves those that are gone at length 1."""
    axes, gone = range(len(shapes[0])), _dims(node, shapes[0])
    kept = axes if node.attrs["keepdim"] else [a for a in axes if a not in gone]
    return [[None if a in gone else kept.index(a) for a in axes]]


def _layer_norm(node, shapes):
    """The last axes are mixed; weight and bias lie along them, and meet each a place of what was mixed."""
    n, k = len(shapes[0]), len(node.attrs["normalized_shape"])
    return [[*range(n - k), *[None] * k], *[[None] * k] * 2]


def _convolution(node, shapes):
    """Examples stay apart. A filter makes a channel, but in groups its place says of which channels; where
    each channel has one filter of its own, it goes through alone."""
    groups = node.attrs["groups"]
    alone = groups == shapes[0][1] == node.shape[1]
    made = 1 if alone or groups == 1 else None
    w = [None] * 4
    w[0 if alone or node.op == "conv2d" else 1] = made
    return [(0, 1 if alone else None, None, None), w, (made,)]


def _matmul(node, shapes):
    """(…, m, k)·(…, k, n): rows and columns stay, k is summed over. A vector has only k."""
    a, b = map(len, shapes)
    n = len(node.shape) - (a > 1) - (b > 1)  # axes of the batch of matrices
    left = (*range(n - a + 2, n), n, None) if a > 1 else (None,)
    right = (*range(n - b + 2, n), None, len(node.shape) - 1) if b > 1 else (None,)
    return [left, right]


def _einsum(node, shapes):
    terms, out = _parse(node.attrs["equation"], shapes)
    return [[out.index(c) if c in out and term.count(c) == 1 else None for c in term] for term in terms]


def _attention(node, shapes):
    """Each query gets a row of the output, but if is_causal its place says which keys it sees; keys are
    summed over, as are the numbers of queries and keys."""
    n = len(node.shape)
    row = None if node.attrs["is_causal"] else n - 2
    ahead = [range(n - len(shape), n - 2) if shape is not None else () for shape in shapes]
    mask = [row, None][-len(shapes[3]):] if shapes[3] else []
    ends = (row, None), (None, None), (None, n - 1), mask
    return [(*batch, *end) for batch, end in zip(ahead, ends, strict=True)]


def _index(node, shapes):
    """A slice that takes all of an axis keeps it; an array, an int or another slice picks entries. Where
    NumPy puts the axes shows on an array of as many, all of different lengths, of which entry 0 is picked."""
    (shape,), parts, alike, axis = shapes, list(node.attrs["index"]), [], 0
    lengths = (2, 3, 5, 7, 11, 13, 17, 19)[:len(shape)]

    def taken(part):  # of the axes of x: a mask takes as many as it has
        return part.ndim if isinstance(part, np.ndarray) and part.dtype == bool else int(part is not None)

    dots = next((k for k, part in enumerate(parts) if part is Ellipsis), len(parts))
    rest = len(shape) - sum(taken(part) for part in parts if part is not Ellipsis)
    for part in (*parts[:dots], *[slice(None)] * rest, *parts[dots + 1:]):
        own = lengths[axis:axis + taken(part)]
        if isinstance(part, slice):
            ends = part.start in (None, 0) and part.stop in (None, shape[axis])
            alike.append(slice(None) if ends and part.step in (None, 1) else slice(1))
        elif isinstance(part, np.ndarray):
            mask = np.arange(math.prod(own)).reshape(own) == 0
            alike.append(mask if part.dtype == bool else np.zeros((1,) * part.ndim, int))
        else:
            alike.append(part and 0)  # an int; None stays
        axis += len(own)
    made = np.broadcast_to(0, lengths)[tuple(alike)].shape
    return [[made.index(n) if n in made else None for n in lengths]]


def _reshape(node, shapes):
    """An axis that is alone in its group, but for lengths of 1, stays."""
    found: list[int | None] = [None] * len(shapes[0])
    for before, after in factors(shapes[0], node.shape):
        a, b = [i for i in before if shapes[0][i] != 1], [j for j in after if node.shape[j] != 1]
        if len(a) == len(b) == 1:
            found[a[0]] = b[0]
    return [found]


_FAMILIES: dict[Callable[[Any, Sequence[Shape | None]], list], str] = {
    lambda node, shapes: elementwise(shapes, node.attrs):
        "add sub mul div neg pow exp log sqrt abs sign sin cos tanh erf sigmoid logsigmoid softplus relu "
        "leaky_relu silu gelu gelu_tanh dropout where maximum minimum clamp lt le gt ge eq ne invert both "
        "either cast truncate clone detach expand mse l1 huber kl_div binary_cross_entropy_with_logits",
    _reduction: "sum mean var std max min argmax argmin any all prod norm logsumexp",
    _along: "softmax log_softmax cumsum cumprod argsort cat scatter_add",
    _convolution: "conv2d conv_transpose2d",
    lambda node, shapes: [(0, 1, None, None)]: "max_pool2d avg_pool2d",
    # Of normalisation by channel, all but the examples' and pixels' place belongs to axis 1.
    lambda node, shapes: [range(len(shapes[0])), *[(1,)] * 4]: "batch_norm_eval",
    lambda node, shapes: [(None, 1, None, None)[:len(shapes[0])], (1,), (1,)]: "batch_norm",
    _layer_norm: "layer_norm",
    lambda node, shapes: [(0, None), (0,)]: "cross_entropy",
    lambda node, shapes: [(*range(n := len(node.shape) - 1), None), (n, None), (n,)]: "linear",
    _matmul: "matmul", _einsum: "einsum", _attention: "scaled_dot_product_attention",
    lambda node, shapes: [[a if w == (0, 0) else None for a, w in enumerate(node.attrs["widths"])]]: "pad",
    lambda node, shapes: [np.argsort(np.mod(node.attrs["dims"], len(shapes[0]) or 1)).tolist()]: "permute",
    _reshape: "reshape", _index: "index",
    # x is looked up along dim, each index standing where its result will.
    lambda node, shapes: [*_along(node, shapes[:1]), range(len(shapes[1]))]: "gather",
    lambda node, shapes: [(None, len(shapes[1])), range(len(shapes[1]))]: "embedding",
}
AXES = {op: family for family, ops in _FAMILIES.items() for op in ops.split()}
