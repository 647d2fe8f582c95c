"""Rules that move numbers and compute nothing."""

import numpy as np

from .record import CONSTANT, Rule, rule
from .samples import cases


@rule("y = x in another shape;  dx = g in the shape of x", lambda g, shape, needs: (g.reshape(shape),),
    saves=CONSTANT, linear=True, exact=True,
    samples=cases(((2, 3, 4), {"shape": (6, -1)}), ((2, 3, 4), {"shape": (24,)})))
def reshape(x, *, shape):
    y = x.reshape(shape)
    if y.shape != shape and min(shape) < -1:  # NumPy takes any negative number for -1
        raise ValueError(f"reshape: the shape {shape} has a negative length that is not -1")
    return y, x.shape


@rule("y = x with its axes in the order dims;  dx = g with its axes put back",
    lambda g, inverse, needs: (g.transpose(inverse),), saves=CONSTANT, linear=True, exact=True,
    samples=cases(((2, 3, 4), {"dims": (1, 2, 0)}), ((2, 3, 4), {"dims": (0, -1, 1)})))
def permute(x, *, dims):
    order = [d % x.ndim for d in dims] if len(dims) == x.ndim else dims
    return x.transpose(dims), tuple(sorted(range(x.ndim), key=order.__getitem__))  # the order that undoes it


# The walk undoes broadcasting, so that g is the gradient as it is.
expand = Rule("expand", "y = x repeated to a shape;  dx = Σg over the repeats",
    lambda x, *, shape: (np.broadcast_to(x, shape), None), lambda g, saved, needs: (g,), linear=True,
    samples=cases(((3, 1), {"shape": (2, 3, 4)}), ((), {"shape": (2,)})), exact=True)


@rule("y = the xᵢ end to end along dim;  dxᵢ = its part of g",
    lambda g, parts, needs: [g[part] for part in parts], saves=CONSTANT, exact=True,
    samples=cases(*(((2, 1, 3), (2, 4, 3), (2, 2, 3), {"dim": dim}) for dim in (1, -2))))
def cat(*xs, dim=0):
    y = np.concatenate(xs, axis=dim)
    before = (slice(None),) * (dim % y.ndim)
    ends = np.cumsum([x.shape[dim] for x in xs])
    return y, [(*before, slice(end - x.shape[dim], end)) for x, end in zip(xs, ends, strict=True)]


@rule("y = x with `widths` entries of `value` before and behind, along each axis;  dx = g inside",
    lambda g, inside, needs: (g[inside],), saves=CONSTANT, exact=True, samples=cases(
        ((2, 3), {"widths": ((0, 0), (2, 1))}), ((2, 3), {"widths": ((1, 0), (0, 3)), "value": 0.5})))
def pad(x, *, widths, value=0):
    y = np.full([left + n + right for n, (left, right) in zip(x.shape, widths, strict=True)], value, x.dtype)
    inside = tuple(slice(left, left + n) for n, (left, _) in zip(x.shape, widths, strict=True))
    y[inside] = x
    return y, inside


_INDICES = ((1,), (slice(None, None, 2), slice(None, None, -1)), (..., None, 0), (np.array([0, 2, 0, -1]),),
            (np.array([0, 2, 0]), np.array([[1], [3]])), (np.arange(12).reshape(3, 4) % 3 == 0,))


@rule("y = zeros of a shape, with g added at index;  dg = v[index], v the gradient in y",
    lambda v, index, needs: (v[tuple(index)],), saves=CONSTANT, samples=cases(
        *((np.empty((3, 4))[index].shape, {"shape": (3, 4), "index": index}) for index in _INDICES)),
    jvp=lambda t, i, saved, out, **attrs: index_grad(t, **attrs))
def index_grad(g, *, shape, index):
    dx = np.zeros(shape, g.dtype)
    if any(isinstance(i, np.ndarray) and i.dtype != bool for i in index):
        np.add.at(dx, index, g)  # an entry picked twice gets both gradients
    else:
        dx[index] = g
    return dx, index


index = Rule("index", "y = x[index];  dx = zeros, with g added at index",
    lambda x, *, index: (x[index], (x.shape, *index)),
    lambda g, saved, needs: (index_grad(g, shape=saved[0], index=tuple(saved[1:])),),
    samples=cases(*(((3, 4), {"index": index}) for index in _INDICES)), saves=CONSTANT,
    jvp=lambda t, i, saved, out, *, index: t[index], fresh=True, exact=True)

# In memory of its own, row by row.
clone = Rule("clone", "y = a copy of x;  dx = g", lambda x: (x.copy(), None), lambda g, saved, needs: (g,),
    samples=cases(((2, 3), {})), symmetric=True)

# It is a rule, and not just a flag of the tensor, so that a trace sees it.
detach = Rule("detach", "y = x: no gradient", lambda x: (x, None), exact=True)
