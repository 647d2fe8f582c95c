"""Normalisation: by the batch, or each example by itself.

Ioffe & Szegedy, "Batch normalization" (2015). There are two rules for two functions.
Training: the mean and the variance are the batch's own, so every input moves every output. The kernels
batch_norm and batch_norm_grad do it, on rows of pixels.
Evaluation: they are given, and y is x times a constant plus a constant. A row holds a line of an image here,
channels-last: NumPy is slow from row to row, and the C numbers of a pixel make a short one.

Ba, Kiros & Hinton, "Layer normalization" (2016): each example by its own mean and variance, so that a batch
of one will do, and training and evaluation are the same function.
"""

import math

import numpy as np

from .. import kernels
from ..kernels import channels_last
from .checks import floats, shape_is
from .linear import column_sums
from .record import rule
from .reductions import mean_of
from .samples import cases


def _lines(x):
    """(N, C) or (N, C, …, W) → (N·…, W·C): a view where the memory is channels-last. Of no pixels, (0, C)."""
    _, c, *space = x.shape
    return channels_last(x).reshape(-1, space[-1] * c if space and x.size else c)


def _pixels(x):
    """(N, C) or (N, C, …) → (N·…, C): a view where the memory is channels-last."""
    return channels_last(x).reshape(-1, x.shape[1])


def _line(v, lines):
    """One number per channel → one line, the same for each pixel."""
    return np.concatenate([v] * (lines.shape[1] // len(v)))


def _sums(lines, c):
    """Σ over the pixels: one number per channel."""
    return column_sums(lines).reshape(-1, c).sum(0)


def _image(lines, shape):
    """The way back from lines, as a view."""
    n, c, *space = shape
    return lines.reshape(n, *space, c).transpose(0, len(shape) - 1, *range(1, len(shape) - 1))


def per_channel(v, ndim):
    """One number per channel, in a shape that broadcasts against images of so many axes; None stays."""
    return v if v is None else v.reshape(1, -1, *(1,) * (ndim - 2))


def _check(op, x, **channels):
    if x.ndim < 2:
        raise ValueError(f"{op}: the input has shape {x.shape}, wanted (N, C) or (N, C, H, W)")
    if not x.shape[1]:
        raise ValueError(f"{op}: the input of shape {x.shape} has no channels")
    shape_is(op, x.shape[1:2], x.shape, **channels)


def _batch_norm_vjp(g, saved, needs, overwrite_g=False):
    rows, inverse, weight, _, mean = saved
    if not g.size:
        return np.zeros_like(g), *np.zeros((2, g.shape[1]), g.dtype)
    dx, dw, db = kernels.batch_norm_grad(_pixels(g), rows, mean, inverse, weight, dx=bool(needs[0]),
                                         overwrite_g=overwrite_g)
    return dx is not None and _image(dx, g.shape), dw, db


def _batch_norm_jvp(t, i, saved, out, **attrs):
    """In x the Jacobian is symmetric; y is linear in w and in b."""
    rows, inverse, *_, mean = saved
    if i == 0:
        return _batch_norm_vjp(t, saved, (True,))[0]
    return per_channel(t, len(out)) if i == 2 else _image((rows - mean) * _line(t * inverse, rows), out)


def _batch_norm_twin(x, weight, bias, *, eps=1e-5, **running):
    dims = (0, *range(2, x.ndim))
    mean = mean_of(x, dims)
    return _batch_norm_eval_twin(x, weight, bias, mean, mean_of((x - mean) ** 2, dims), eps=eps)


@rule("y = w·x̂ + b, x̂ = (x − mean x)/√(var x + ε);  "
    "db = Σg, dw = Σg·x̂, dx = (g − db/n − x̂·dw/n)·w/√(var x + ε)", _batch_norm_vjp, jvp=_batch_norm_jvp,
    twin=_batch_norm_twin, restored=lambda saved: (  # x, the weight, and any bias
        _image(saved[0], saved[3]), saved[2], saved[1]),
    samples=cases(((5, 3), (3,), (3,), {"eps": 1e-5}), ((2, 3, 2, 2), (3,), (3,), {"eps": 0.1}),
                   ((5, 3), None, None, {})), fresh=True, overwrites=True)
def batch_norm(x, weight, bias, *, running_mean=None, running_var=None, momentum=0.1, eps=1e-5):
    _check("batch_norm", x, weight=weight, bias=bias, running_mean=running_mean, running_var=running_var)
    rows, n = _pixels(x), x.size // x.shape[1]
    if n == 1:
        raise ValueError(f"batch_norm: training wants more than one value per channel, got shape {x.shape}")
    if not n:  # an empty batch has no mean, and leaves the running one as it is
        mean = inverse = np.ones(x.shape[1], x.dtype)
        y = rows.astype(np.result_type(*(a for a in (x, weight, bias) if a is not None)))
        return _image(y, x.shape), (rows, inverse, weight, x.shape, mean)
    y, mean, var, inverse = kernels.batch_norm(rows, weight, bias, eps=eps)
    # The running variance is the unbiased estimate, as in PyTorch.
    for running, now in ((running_mean, mean), (running_var, var * (n / (n - 1)))):
        if running is not None:
            running += momentum * (now - running)
    return _image(y, x.shape), (rows, inverse, weight, x.shape, mean)


def _batch_norm_eval_vjp(g, saved, needs):
    lines, mean, inverse, scale = saved
    glines = _lines(g)
    db = _sums(glines, len(mean))
    dw = _sums(glines * (lines - _line(mean, lines)), len(mean)) * inverse
    dx = needs[0] and _image(glines * _line(scale, lines), g.shape)
    return dx, dw, db, -scale * db, -0.5 * scale * inverse * dw


def _batch_norm_eval_jvp(t, i, saved, out, **attrs):
    """y = (x − mean)·scale + b is linear in each of them but var."""
    lines, mean, inverse, scale = saved
    if i == 0:
        return t * per_channel(scale, len(out))
    if i in (2, 3):
        return per_channel(t if i == 2 else -scale * t, len(out))
    change = t * inverse if i == 1 else -0.5 * scale * inverse**2 * t
    return _image((lines - _line(mean, lines)) * _line(change, lines), out)


def _batch_norm_eval_twin(x, weight, bias, mean, var, *, eps=1e-5):
    """Used for training too, with the batch's own mean and variance."""
    y = (x - per_channel(mean, x.ndim)) / (per_channel(var, x.ndim) + eps).sqrt()
    return scaled(y, per_channel(weight, x.ndim), per_channel(bias, x.ndim))


@rule("y = w·x̂ + b, x̂ = (x − mean)/√(var + ε);  db = Σg, dw = Σg·x̂, "
    "dx = g·w/√(var + ε), dmean = −Σdx, dvar = −½·w·dw/(var + ε)", _batch_norm_eval_vjp,
    jvp=_batch_norm_eval_jvp, twin=_batch_norm_eval_twin,
    samples=lambda rng: [([*arrays, rng.normal(size=3), rng.uniform(0.5, 2, 3)], how)
                         for arrays, how in batch_norm.samples(rng)])
def batch_norm_eval(x, weight, bias, mean, var, *, eps=1e-5):
    _check("batch_norm_eval", x, weight=weight, bias=bias, mean=mean, var=var)
    lines = _lines(x)
    inverse = 1 / np.sqrt(var + eps)
    scale = inverse if weight is None else weight * inverse
    y = lines * _line(scale, lines)
    y += _line((0 if bias is None else bias) - mean * scale, lines)
    return _image(y, x.shape), (lines, mean, inverse, scale)


def _mean(rows):
    """Of each row, as a column; 0 for rows of nothing."""
    return np.add.reduce(rows, axis=-1, keepdims=True) / max(rows.shape[-1], 1)


def scaled(y, weight, bias):
    """y·weight + bias, of what there is of the two."""
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def _layer_norm_vjp(g, saved, needs):
    normal, inverse, weight, _ = saved
    rows, shape = g.reshape(normal.shape), g.shape[normal.ndim - 1:]
    flat = math.prod(normal.shape[:-1]), normal.shape[-1]
    dx = dw = db = None
    if needs[0]:
        gw = rows if weight is None else rows * weight.reshape(-1)
        dx = normal * -_mean(gw * normal)
        dx += gw
        dx -= _mean(gw)
        dx *= inverse
        dx = dx.reshape(g.shape)
    if needs[1]:
        dw = column_sums((rows * normal).reshape(flat)).reshape(shape)
    if needs[2]:
        db = column_sums(rows.reshape(flat)).reshape(shape)
    return dx, dw, db


def _layer_norm_inputs(saved):
    """Inputs with the same derivatives: x but for a shift, which changes nothing, and any bias."""
    normal, inverse, weight, shape = saved
    return (normal / inverse).reshape(shape), weight, np.zeros(shape[normal.ndim - 1:], normal.dtype)


def _layer_norm_twin(x, weight, bias, *, normalized_shape, eps=1e-5):
    dims = tuple(range(-len(normalized_shape), 0))
    centred = x - mean_of(x, dims)
    return scaled(centred / (mean_of(centred * centred, dims) + eps).sqrt(), weight, bias)


@rule("y = w·x̂ + b, x̂ = (x − mean x)/√(var x + ε);  "
    "db = Σg, dw = Σg·x̂, dx = (gw − mean gw − x̂·mean(gw·x̂))/√(var x + ε), gw = g·w", _layer_norm_vjp,
    twin=_layer_norm_twin, restored=_layer_norm_inputs, samples=cases(
        ((4, 5), (5,), (5,), {"normalized_shape": (5,), "eps": 0.1}),
        ((2, 3, 4), (3, 4), (3, 4), {"normalized_shape": (3, 4), "eps": 0.1}),
        ((2, 3, 4), None, None, {"normalized_shape": (4,), "eps": 0.1}),
        ((6,), (6,), None, {"normalized_shape": (6,), "eps": 0.1})))
def layer_norm(x, weight, bias, *, normalized_shape, eps=1e-5):
    shape = tuple(normalized_shape)
    if not shape or x.shape[-len(shape):] != shape:
        raise ValueError(f"layer_norm: the input has shape {x.shape}, wanted (…, "
                         f"{', '.join(map(str, shape))})")
    shape_is("layer_norm", shape, x.shape, weight=weight, bias=bias)
    floats("layer_norm", x)
    rows = x.reshape(*x.shape[:x.ndim - len(shape)], math.prod(shape))
    normal = rows - _mean(rows)
    inverse = 1 / np.sqrt(_mean(normal * normal) + x.dtype.type(eps))
    normal *= inverse
    return scaled(normal.reshape(x.shape), weight, bias), (normal, inverse, weight, x.shape)
