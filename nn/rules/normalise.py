"""Batch normalisation: Ioffe & Szegedy, "Batch normalization" (2015). Two rules, for it is two functions.

Training: the mean and the variance are the batch's own, so every input moves every output.
Evaluation: they are given, and y is x times a constant plus a constant.
"""

import numpy as np

from nn.rules.linear import column_sums
from nn.rules.record import Rule


def _rows(x):
    """(N, C) or (N, C, …) → (N·…, C): one row per pixel, a view where the memory is channels-last."""
    return x.transpose(0, *range(2, x.ndim), 1).reshape(-1, x.shape[1])


def _shaped(rows, shape):
    """The way back, as a view."""
    n, c, *space = shape
    return rows.reshape(n, *space, c).transpose(0, len(shape) - 1, *range(1, len(shape) - 1))


def _check(op, x, **channels):
    if x.ndim < 2:
        raise ValueError(f"{op}: the input has shape {x.shape}, wanted (N, C) or (N, C, H, W)")
    for name, array in channels.items():
        if array is not None and array.shape != x.shape[1:2]:
            raise ValueError(f"{op}: {name} has shape {array.shape}, wanted {x.shape[1:2]} "
                             f"for an input of shape {x.shape}")


def _affine(y, weight, bias):
    if weight is not None:
        y = y * weight
    if bias is not None:
        y += bias
    return y


def _batch_norm(x, weight, bias, *, running_mean=None, running_var=None, momentum=0.1, eps=1e-5):
    _check("batch_norm", x, weight=weight, bias=bias, running_mean=running_mean, running_var=running_var)
    rows = _rows(x)
    n = len(rows)
    if n < 2:
        raise ValueError(f"batch_norm: in training it wants more than one value per channel, "
                         f"but the input has shape {x.shape}")
    mean = column_sums(rows) / n
    normal = rows - mean
    var = column_sums(normal * normal) / n
    if running_mean is not None:
        running_mean += momentum * (mean - running_mean)
    if running_var is not None:    # the running estimate is the unbiased one, as in PyTorch
        running_var += momentum * (var * (n / (n - 1)) - running_var)
    scale = 1 / np.sqrt(var + eps)
    normal *= scale
    if weight is not None:
        scale = scale * weight
    return _shaped(_affine(normal, weight, bias), x.shape), (normal, scale)


def _batch_norm_vjp(g, saved, needs):
    normal, scale = saved
    rows = _rows(g)
    db, dw = column_sums(rows), column_sums(rows * normal)
    dx = None
    if needs[0]:
        dx = normal * (dw / -len(rows))
        dx += rows
        dx -= db / len(rows)
        dx *= scale
        dx = _shaped(dx, g.shape)
    return dx, dw, db


def _batch_norm_twin(x, weight, bias, *, eps=1e-5):
    dims = (0, *range(2, x.ndim))
    channel = (1, -1) + (1,) * (x.ndim - 2)
    centred = x - x.mean(dims, keepdim=True)
    normal = centred / ((centred * centred).mean(dims, keepdim=True) + eps).sqrt()
    normal = normal if weight is None else normal * weight.reshape(channel)
    return normal if bias is None else normal + bias.reshape(channel)


def _samples(rng):
    return [([rng.normal(size=shape), rng.normal(size=3), rng.normal(size=3)], {"eps": eps})
            for shape, eps in (((5, 3), 1e-5), ((2, 3, 2, 2), 0.1))]


batch_norm = Rule(
    "batch_norm", "y = w·x̂ + b, x̂ = (x − mean x)/√(var x + ε);  "
    "db = Σg, dw = Σg·x̂, dx = (g − db/n − x̂·dw/n)·w/√(var x + ε)",
    _batch_norm, _batch_norm_vjp, twin=_batch_norm_twin,
    samples=lambda rng: [*_samples(rng), ([rng.normal(size=(5, 3)), None, None], {})])


def _batch_norm_eval(x, weight, bias, mean, var, *, eps=1e-5):
    _check("batch_norm_eval", x, weight=weight, bias=bias, mean=mean, var=var)
    rows = _rows(x)
    inverse = 1 / np.sqrt(var + eps)
    scale = inverse if weight is None else weight * inverse
    y = rows * scale
    y += (0 if bias is None else bias) - mean * scale
    return _shaped(y, x.shape), (rows, mean, inverse, scale)


def _batch_norm_eval_vjp(g, saved, needs):
    rows, mean, inverse, scale = saved
    grows = _rows(g)
    db = column_sums(grows)
    dw = column_sums(grows * (rows - mean)) * inverse
    dx = needs[0] and _shaped(grows * scale, g.shape)
    return dx, dw, db, -scale * db, -0.5 * scale * inverse * dw


def _batch_norm_eval_twin(x, weight, bias, mean, var, *, eps=1e-5):
    channel = (1, -1) + (1,) * (x.ndim - 2)
    normal = (x - mean.reshape(channel)) / (var.reshape(channel) + eps).sqrt()
    normal = normal if weight is None else normal * weight.reshape(channel)
    return normal if bias is None else normal + bias.reshape(channel)


def _eval_samples(rng):
    return [([*arrays, rng.normal(size=3), rng.uniform(0.5, 2, 3)], attrs) for arrays, attrs in batch_norm.samples(rng)]


batch_norm_eval = Rule(
    "batch_norm_eval", "y = w·x̂ + b, x̂ = (x − mean)/√(var + ε);  db = Σg, dw = Σg·x̂, "
    "dx = g·w/√(var + ε), dmean = −Σdx, dvar = −½·w·dw/(var + ε)",
    _batch_norm_eval, _batch_norm_eval_vjp, twin=_batch_norm_eval_twin, samples=_eval_samples)
