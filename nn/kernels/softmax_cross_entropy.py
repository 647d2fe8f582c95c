"""softmax_cross_entropy and its gradient: the loss of a classifier, from logits and the right classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arguments import F32, I64, INTEGERS, READABLE, array, contiguous
from .kernel import kernel
from .native import NUMPY, check, from_buffer, lib


@kernel
def softmax_cross_entropy(x: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each row of logits x (N, C), with its class in 0 … C − 1, the loss and the softmax; float32.

        loss = log Σₖ exp xₖ − x[class]    p = exp(x) / Σₖ exp xₖ

    Each row is taken less its largest entry, which changes neither and lets nothing overflow. Returns: losses
    (N,) and p (N, C). A row with a NaN, with +∞, or with nothing but −∞ gives NaN in both.
    Bounds: nn/testing/domain_entropy.py. Raises TypeError for a wrong type or dtype, ValueError for a wrong
    shape, for C = 0 and for a class that there is not.
    classes: (N,), integers.
    """
    shifted = x - x.max(axis=1, keepdims=True)
    p = np.exp(shifted)
    total = p.sum(axis=1, keepdims=True)
    return np.log(total[:, 0]) - shifted[np.arange(len(x)), classes], p / total


@kernel
def softmax_cross_entropy_grad(g: np.ndarray, p: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """dx = g·(p − onehot(class)), the gradient of the losses for g = ∂L/∂losses (N,); float32 (N, C).

    g: (N,). p: (N, C), what softmax_cross_entropy gave. Raises as that does.
    classes: (N,), as they were there.
    """
    dx = p * g[:, None]
    dx[np.arange(len(p)), classes] -= g
    return dx


def _arguments(who: str, name: str, x: Any, classes: Any) -> tuple[np.ndarray, np.ndarray]:
    x = contiguous(who, name, x, 2, F32)
    if type(classes) is not np.ndarray or classes.dtype is not I64 or classes.ndim != 1:
        classes = array(who, "classes", classes, 1, *INTEGERS)
    if len(classes) != len(x):
        raise ValueError(f"{who}: classes must have one entry for each row of {name}, got shapes "
                         f"{classes.shape} and {x.shape}")
    if not x.shape[1]:
        raise ValueError(f"{who}: {name} must have at least one column, got shape {x.shape}")
    if classes.dtype is not I64 or classes.flags.num & READABLE != READABLE:
        given, classes = classes, np.array(classes, I64, order="C")
        if given.dtype.kind == "u" and classes.size and classes.min() < 0:    # 2⁶³ and more
            raise _unknown(who, given, x)
    return x, classes


def _unknown(who: str, classes: np.ndarray, x: np.ndarray) -> ValueError:
    came = f"{classes.min()} to {classes.max()}"
    return ValueError(f"{who}: classes must be in 0..{x.shape[1] - 1}, got {came}")


def _softmax_cross_entropy(x: Any, classes: Any) -> tuple[np.ndarray, np.ndarray]:
    who = "softmax_cross_entropy"
    x, classes = _arguments(who, "x", x, classes)
    if softmax_cross_entropy.choice == NUMPY:
        _known(who, classes, x)
        return softmax_cross_entropy.reference(x, classes)
    n, c = x.shape
    losses, p = np.empty(n, F32), np.empty((n, c), F32)
    status = lib.nn_softmax_cross_entropy(softmax_cross_entropy.choice, n, c, from_buffer(x),
                                          from_buffer(classes), from_buffer(losses), from_buffer(p))
    if status:
        _failed(who, status, classes, x)
    return losses, p


def _softmax_cross_entropy_grad(g: Any, p: Any, classes: Any) -> np.ndarray:
    who = "softmax_cross_entropy_grad"
    p, classes = _arguments(who, "p", p, classes)
    g = contiguous(who, "g", g, 1, F32)
    if len(g) != len(p):
        raise ValueError(f"{who}: g must have one entry for each row of p, got shapes {g.shape} and "
                         f"{p.shape}")
    if softmax_cross_entropy_grad.choice == NUMPY:
        _known(who, classes, p)
        return softmax_cross_entropy_grad.reference(g, p, classes)
    dx = np.empty(p.shape, F32)
    status = lib.nn_softmax_cross_entropy_grad(softmax_cross_entropy_grad.choice, *p.shape, from_buffer(g),
                                               from_buffer(p), from_buffer(classes), from_buffer(dx))
    if status:
        _failed(who, status, classes, p)
    return dx


def _known(who: str, classes: np.ndarray, x: np.ndarray) -> None:
    if classes.size and not 0 <= classes.min() <= classes.max() < x.shape[1]:
        raise _unknown(who, classes, x)


def _failed(who: str, status: int, classes: np.ndarray, x: np.ndarray) -> None:
    if status == lib.NN_BAD_CLASS:
        raise _unknown(who, classes, x)
    check(who, status)


softmax_cross_entropy.bind(_softmax_cross_entropy)
softmax_cross_entropy_grad.bind(_softmax_cross_entropy_grad)
