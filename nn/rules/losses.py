"""Losses, one value per example: functional.py averages them."""

import numpy as np

from .. import kernels
from .record import Rule


def _cross_entropy(logits, classes):
    if logits.ndim != 2 or classes.shape != logits.shape[:1]:
        raise ValueError(f"cross_entropy: logits of shape {logits.shape} do not fit classes of shape "
                         f"{classes.shape}; wanted (N, C) and (N,)")
    if classes.dtype.kind not in "iu":
        raise TypeError(f"cross_entropy: classes are {classes.dtype}, wanted integers")
    n, c = logits.shape
    if n and not 0 <= classes.min() <= classes.max() < c:
        raise ValueError(f"cross_entropy: classes from {classes.min()} to {classes.max()} came, "
                         f"but logits of shape {logits.shape} know 0 to {c - 1}")
    losses, p = kernels.softmax_cross_entropy(logits, classes)
    return losses, (p, classes.copy())    # backward will need what they were


def _cross_entropy_vjp(g, saved, needs):
    p, classes = saved
    return kernels.softmax_cross_entropy_grad(g, p, classes), None


def _cross_entropy_jvp(t, i, saved, out):
    p, classes = saved
    return (p * t).sum(1) - t[np.arange(len(p)), classes]


def _cross_entropy_twin(logits, classes):
    """logits minus their log-sum-exp, at the right class, negated."""
    shifted = logits - logits.amax(1, keepdim=True).detach()
    log_p = shifted - shifted.exp().sum(1, keepdim=True).log()
    return -log_p[np.arange(len(classes)), classes]


cross_entropy = Rule(
    "cross_entropy", "y = log Σeˣ − x[class];  dx = g·(softmax(x) − onehot(class))",
    _cross_entropy, _cross_entropy_vjp, jvp=_cross_entropy_jvp, twin=_cross_entropy_twin,
    samples=lambda rng: [([rng.normal(size=(4, 5)) * 3, np.array([0, 4, 2, 2])], {})], fresh=True)


def _mse(a, b):
    if a.shape != b.shape:    # broadcasting would compare every prediction with every target
        raise ValueError(f"mse: the input has shape {a.shape} and the target {b.shape}; they must be equal")
    d = a - b
    return d * d, (d,)


def _mse_vjp(g, saved, needs):
    da = 2 * g * saved[0]
    return da, -da


mse = Rule(
    "mse", "y = (a − b)²;  da = 2g(a − b), db = −da", _mse, _mse_vjp,
    twin=lambda a, b: (a - b) ** 2,
    samples=lambda rng: [([rng.normal(size=(3, 4)), rng.normal(size=(3, 4))], {})], fresh=True,
    symmetric=True)
