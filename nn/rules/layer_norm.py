"""Layer normalisation: Ba, Kiros & Hinton, "Layer normalization" (2016).

Each example is normalised by its own mean and variance, so that a batch of one will do, and training and
evaluation are the same function.
"""

import math

import numpy as np

from .checks import floats, shape_is
from .linear import column_sums
from .record import Rule
from .reductions import mean_of
from .samples import cases


def _layer_norm(x, weight, bias, *, normalized_shape, eps=1e-5):
    shape = tuple(normalized_shape)
    if not shape or x.shape[-len(shape):] != shape:
        raise ValueError(f"layer_norm: the input has shape {x.shape}, wanted (…, "
                         f"{', '.join(map(str, shape))})")
    for name, array in (("weight", weight), ("bias", bias)):
        shape_is("layer_norm", name, array, shape)
    floats("layer_norm", x)
    rows = x.reshape(*x.shape[:x.ndim - len(shape)], math.prod(shape))
    normal = rows - _mean(rows)
    inverse = 1 / np.sqrt(_mean(normal * normal) + x.dtype.type(eps))
    normal *= inverse
    return scaled(normal.reshape(x.shape), weight, bias), (normal, inverse, weight, x.shape)


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


layer_norm = Rule(
    "layer_norm", "y = w·x̂ + b, x̂ = (x − mean x)/√(var x + ε);  "
    "db = Σg, dw = Σg·x̂, dx = (gw − mean gw − x̂·mean(gw·x̂))/√(var x + ε), gw = g·w",
    _layer_norm, _layer_norm_vjp, twin=_layer_norm_twin, restored=_layer_norm_inputs,
    samples=cases(
        ((4, 5), (5,), (5,), {"normalized_shape": (5,), "eps": 0.1}),
        ((2, 3, 4), (3, 4), (3, 4), {"normalized_shape": (3, 4), "eps": 0.1}),
        ((2, 3, 4), None, None, {"normalized_shape": (4,), "eps": 0.1}),
        ((6,), (6,), None, {"normalized_shape": (6,), "eps": 0.1})))
