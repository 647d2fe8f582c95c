"""Einstein's sums: any product of tensors, summed over any of their axes.

An equation like "bij,bjk->bik" names the axes. Two operands make one batched matrix product:
axes that both have are the batch if the output has them too, and else are summed over. The
gradient of an operand is an einsum again, of g and the other operands, with its axes as the output.
"""

import numpy as np

from .record import CONSTANT, INPUTS, rule
from .samples import cases
from .shapes import index_grad


def _parse(equation, shapes):
    """(the labels of each operand, the labels of the output): strings, a character for each axis."""
    if not isinstance(equation, str):
        raise TypeError(f"einsum: the equation is a {type(equation).__name__}, wanted a string")
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes):
        raise ValueError(f"einsum: {equation!r} speaks of {len(terms)} operands, but {len(shapes)} came")
    widest, labels = 0, []
    for term, shape in zip(terms, shapes, strict=True):
        named, dots, behind = term.partition("...")
        extra = len(shape) - len(named + behind)
        if (not (named + behind).isalpha() and named + behind) or extra < 0 or (extra and not dots):
            raise ValueError(f"einsum: the term {term!r} of {equation!r} does not fit an operand of shape "
                             f"{shape}")
        labels.append((named, extra, behind))
        widest = max(widest, extra)
    # The axes of an ellipsis are named from the last one on, by characters that are not letters.
    unnamed = [chr(n) for n in range(widest)]
    labels = [named + "".join(unnamed[widest - extra:]) + behind for named, extra, behind in labels]
    if arrow:
        named, dots, behind = right.partition("...")
        out = named + ("".join(unnamed) if dots else "") + behind
    else:
        seen = "".join(labels)
        out = "".join(unnamed) + "".join(c for c in sorted(set(seen)) if c.isalpha() and seen.count(c) == 1)
    if len(set(out)) < len(out) or not set(out) <= set("".join(labels)):
        raise ValueError(f"einsum: the output {right!r} of {equation!r} must name axes of the operands, "
                         f"each once")
    lengths = {}
    for term, shape in zip(labels, shapes, strict=True):
        for label, n in zip(term, shape, strict=True):
            if n != 1 and lengths.setdefault(label, n) != n:
                raise ValueError(f"einsum: in {equation!r} one axis is {lengths[label]} and {n} long; the "
                                 f"operands have shapes {', '.join(map(str, shapes))}")
    return labels, out


def _diagonal(term, shape):
    """The index that leaves an operand one axis for each label: of axes with the same label, the diagonal."""
    lengths = {label: max(n for one, n in zip(term, shape, strict=True) if one == label) for label in term}
    place = dict(zip(lengths, np.ogrid[tuple(map(slice, lengths.values()))], strict=True))
    return tuple(place[label] * (n != 1) for label, n in zip(term, shape, strict=True))


def _once(x, term):
    """(x with each label once, those labels)."""
    once = "".join(dict.fromkeys(term))
    return (x if once == term else x[_diagonal(term, x.shape)]), once


def _contract(operands, out):
    """The einsum of (array or Tensor, its labels) pairs, with the labels `out`; lengths of 1 broadcast."""
    operands = [_squeezed(x, labels) for x, labels in operands]
    (x, labels), *rest = operands
    while rest:
        (y, other), *rest = rest
        needed = {*out, *(label for _, later in rest for label in later)}
        x, labels = _multiply(*_summed(x, labels, needed | set(other)),
                              *_summed(y, other, needed | set(labels)), needed)
    x, labels = _summed(x, labels, set(out))
    x = x.transpose([labels.index(label) for label in out if label in labels])
    lengths = iter(x.shape)
    return x.reshape([next(lengths) if label in labels else 1 for label in out])


def _squeezed(x, labels):
    """Without the axes of length 1, which broadcast."""
    left = "".join(label for label, n in zip(labels, x.shape, strict=True) if n != 1)
    return x.reshape([n for n in x.shape if n != 1]), left


def _summed(x, labels, needed):
    """Summed over the axes that are not needed."""
    axes = tuple(axis for axis, label in enumerate(labels) if label not in needed)
    return (x.sum(axes) if axes else x), "".join(label for label in labels if label in needed)


def _multiply(x, a, y, b, needed):
    """One matrix product: (batch, rows, shared)·(batch, shared, columns)."""
    batch = "".join(label for label in a if label in b and label in needed)
    shared = "".join(label for label in a if label in b and label not in needed)
    rows = "".join(label for label in a if label not in b)
    columns = "".join(label for label in b if label not in a)
    x = x.transpose([a.index(label) for label in batch + rows + shared])
    y = y.transpose([b.index(label) for label in batch + shared + columns])
    n, r = len(batch), len(rows)
    shape = (*x.shape[:n + r], *y.shape[n + len(shared):])
    lengths = [int(np.prod(part)) for part in (x.shape[:n], x.shape[n:n + r], x.shape[n + r:], shape[n + r:])]
    product = x.reshape(lengths[:3]) @ y.reshape([lengths[0], lengths[2], lengths[3]])
    return product.reshape(shape), batch + rows + columns


def _einsum_vjp(g, saved, needs):
    equation, *xs = saved
    labels, out = _parse(equation, [x.shape for x in xs])
    operands = [*map(_once, xs, labels)]
    grads = [None] * len(xs)
    for i, term in enumerate(labels):
        if needs[i]:
            once, shape = operands[i][1], xs[i].shape
            dx = _contract([(g, out), *operands[:i], *operands[i + 1:]], once)
            grads[i] = dx if once == term else index_grad(dx, shape=shape, index=_diagonal(term, shape))
    return grads


_SAMPLES = (
    ("ij,jk->ik", (2, 3), (3, 4)), ("bij,bjk->bki", (2, 2, 3), (2, 3, 2)), ("ij->ji", (2, 3)),
    ("ij->", (2, 3)), ("ii->i", (3, 3)), ("iij,j", (2, 2, 3), (3,)), ("i,j,k->kji", (2,), (3,), (2,)),
    ("...ij,...jk->...ik", (2, 1, 2, 3), (3, 3, 2)), ("ij,ij->j", (1, 3), (2, 3)),
    ("ba,cb", (2, 3), (4, 2)), ("ij,jk,kl->l", (2, 3), (3, 2), (2, 2)))


@rule("y = Σ Πxᵢ over the axes that are not in y;  dxᵢ = Σ g·Πxⱼ, j ≠ i, over those not in xᵢ", _einsum_vjp,
    saves=(CONSTANT, INPUTS),
    jvp=lambda t, i, saved, out, **equation: einsum(*saved[1:i + 1], t, *saved[i + 2:], **equation),
    samples=cases(*((*shapes, {"equation": equation}) for equation, *shapes in _SAMPLES)))
def einsum(*xs, equation):
    labels, out = _parse(equation, [x.shape for x in xs])
    return _contract([*map(_once, xs, labels)], out), (equation, *xs)
