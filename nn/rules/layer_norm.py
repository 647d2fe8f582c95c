"""Layer normalisation: Ba, Kiros & Hinton, "Layer normalization" (2016).

Each example is normalised by its own mean and variance, so that a batch of one will do, and training and
evaluation are the same function.
"""

import numpy as np

from .checks import floats, shape_is
from .linear import column_sums
from .record import Rule
from .reductions import mean_of


def _layer_norm(x, weight, bias, *, normalized_shape, eps=1e-5):
    shape = tuple(normalized_shape)
    if not shape or x.shape[-len(shape):] != shape:
        raise ValueError(f"layer_norm: the input has shape {x.shape}, wanted (…, "
                         f"{', '.join(map(str, shape))})")
    for name, array in (("weight", weight), ("bias", bias)):
        shape_is("layer_norm", name, array, shape)
    floats("layer_norm", x)
    rows = x.reshape(*x.shape[:x.ndim - len(shape)], int(np.prod(shape)))
    if not x.size:  # an empty input has no mean
        normal, inverse = rows, np.ones((*rows.shape[:-1], 1), x.dtype)
        return _scaled(x.copy(), weight, bias), (normal, inverse, weight, x.shape)
    normal = rows - rows.mean(-1, keepdims=True)
    inverse = 1 / np.sqrt((normal * normal).mean(-1, keepdims=True) + x.dtype.type(eps))
    normal *= inverse
    return _scaled(normal.reshape(x.shape), weight, bias), (normal, inverse, weight, x.shape)


def _scaled(y, weight, bias):
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def _layer_norm_vjp(g, saved, needs):
    normal, inverse, weight, _ = saved
    rows = g.reshape(normal.shape)
    width, shape = normal.shape[-1], None if weight is None else weight.shape
    dx = dw = db = None
    if not g.size:
        nothing = np.zeros(g.shape[normal.ndim - 1:], g.dtype)
        return np.zeros_like(g), nothing, nothing
    if needs[0]:
        gw = rows if weight is None else rows * weight.reshape(-1)
        dx = normal * -(gw * normal).mean(-1)[..., None]
        dx += gw
        dx -= gw.mean(-1)[..., None]
        dx *= inverse
        dx = dx.reshape(g.shape)
    if needs[1]:
        dw = column_sums((rows * normal).reshape(-1, width)).reshape(shape)
    if needs[2]:
        db = column_sums(rows.reshape(-1, width))
        db = db.reshape(g.shape[normal.ndim - 1:])
    return dx, dw, db


def _layer_norm_inputs(saved):
    """Inputs with the same derivatives: x but for a shift, which changes nothing, and any bias."""
    normal, inverse, weight, shape = saved
    return (normal / inverse).reshape(shape), weight, np.zeros(shape[normal.ndim - 1:], normal.dtype)


def _layer_norm_twin(x, weight, bias, *, normalized_shape, eps=1e-5):
    dims = tuple(range(-len(normalized_shape), 0))
    centred = x - mean_of(x, dims)
    return _scaled(centred / (mean_of(centred * centred, dims) + eps).sqrt(), weight, bias)


def _samples(rng):
    cases = (((4, 5), (5,), 2), ((2, 3, 4), (3, 4), 2), ((2, 3, 4), (4,), 0), ((6,), (6,), 1))
    return [([rng.normal(size=x), *(rng.normal(size=shape) if i < given else None for i in range(2))],
             {"normalized_shape": shape, "eps": 0.1}) for x, shape, given in cases]


layer_norm = Rule(
    "layer_norm", "y = w·x̂ + b, x̂ = (x − mean x)/√(var x + ε);  "
    "db = Σg, dw = Σg·x̂, dx = (gw − mean gw − x̂·mean(gw·x̂))/√(var x + ε), gw = g·w",
    _layer_norm, _layer_norm_vjp, twin=_layer_norm_twin, restored=_layer_norm_inputs, samples=_samples)
