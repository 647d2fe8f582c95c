"""Losses. reduction: "mean", "sum" or "none" (a value for each example or entry)."""

from __future__ import annotations

import numpy as np

from .. import rules
from ..arguments import flag, is_int, is_number
from ..tensor import Operand, Tensor, apply
from .activations import log_softmax
from .half import rounded_once
from .shapes import as_tensor


@rounded_once
def cross_entropy(input: Operand, target: Operand, weight: Operand | None = None, *, ignore_index: int = -100,
                  reduction: str = "mean", label_smoothing: float = 0.0) -> Tensor:
    """−log softmax(input) at the right class: logits (N, C) or (N, C, d…), classes (N,) or (N, d…).

    Or logits (C,) and a class (). target: integers, or probabilities (floats of the shape of input). weight:
    (C,), a factor for each class (of a layer a buffer, not trained); the mean is then over the weights.
    ignore_index: a class whose examples do not count. reduction: "mean", "sum" or "none". label_smoothing:
    the part of the target that is spread evenly over all classes (Szegedy et al., "Rethinking the Inception
    architecture", 2016).
    Raises ValueError for a class outside 0 … C − 1, ValueError or TypeError for whatever else does not fit.
    """
    known("cross_entropy", reduction, ignore_index)
    x, t = as_tensor(input), target if type(target) is np.ndarray else as_tensor(target)  # not copied
    if not is_number(label_smoothing) or not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing is {label_smoothing!r}, wanted 0 to 1")
    data, soft = x._data, t.dtype.kind == "f" and x.ndim and t.shape == x.shape
    if not soft and weight is None and not label_smoothing and data.ndim == 2 and data.dtype.kind == "f":
        no_class = not 0 <= ignore_index < data.shape[1]  # then the rule refuses it itself
        if no_class or not _holds(t, ignore_index):
            try:
                return _reduced("cross_entropy", apply(rules.losses.cross_entropy, x, t), reduction)
            except ValueError:
                if not _holds(t, ignore_index):
                    raise
    axis, t = _class_axis("cross_entropy", x), as_tensor(t)
    log_p = log_softmax(x, axis)
    if not soft:
        return _class_loss("cross_entropy", log_p, t, weight, ignore_index, reduction, label_smoothing)
    if label_smoothing:
        t = t * (1 - label_smoothing) + label_smoothing / x.shape[axis]
    if weight is not None:
        log_p = log_p * _factors("cross_entropy", weight, log_p, axis)
    return _reduced("cross_entropy", -(log_p * t).sum(axis), reduction)


@rounded_once
def nll_loss(input: Operand, target: Operand, weight: Operand | None = None, *, ignore_index: int = -100,
             reduction: str = "mean") -> Tensor:
    """−input at the class `target`, of log-probabilities (N, C), (N, C, d…) or (C,). weight, ignore_index and
    reduction are those of cross_entropy. Raises what that raises."""
    known("nll_loss", reduction, ignore_index)
    return _class_loss("nll_loss", as_tensor(input), as_tensor(target), weight, ignore_index, reduction, 0.0)


def _holds(target, ignore_index):
    return target.dtype.kind in "iu" and (getattr(target, "_data", target) == ignore_index).any()


def _class_axis(op, x):
    if not x.ndim:
        raise ValueError(f"{op}: the input is a scalar, wanted (C,), (N, C) or (N, C, d…)")
    return min(x.ndim - 1, 1)


def _class_loss(op, log_p, target, weight, ignore_index, reduction, smoothing):
    """The loss of log-probabilities for classes given as integers."""
    axis, classes = _class_axis(op, log_p), target._data
    rules.checks.integers(op, "classes are", classes)
    if classes.shape != (*log_p.shape[:axis], *log_p.shape[axis + 1:]):
        raise ValueError(f"{op}: logits of shape {log_p.shape} do not fit classes of shape {classes.shape}; "
                         "wanted (N, C, d…) and (N, d…)")
    counts = classes != ignore_index
    classes = np.where(counts, classes, 0)
    rules.checks.classes_fit(op, classes, log_p)
    factors = _factors(op, weight, log_p, axis)
    each = np.where(counts, factors.ravel()[classes], 0).astype(log_p.dtype)  # the weight of each example
    losses = -log_p.gather(axis, np.expand_dims(classes, axis)).squeeze(axis)
    losses = losses.where(counts, 0) * each  # selected first: 0·∞ would be NaN
    if smoothing:
        spread = -(log_p * factors).sum(axis).where(counts, 0)
        losses = losses * (1 - smoothing) + spread * (smoothing / log_p.shape[axis])
    if reduction != "mean":
        return _reduced(op, losses, reduction)
    total = each.sum()
    return losses.sum() / total if total else losses.sum() + np.nan  # no example counts: NaN, with gradient 0


def _factors(op, weight, log_p, axis):
    """The weights of the classes, 1 if left out, in a shape that broadcasts along their axis of log_p."""
    c = log_p.shape[axis]
    factors = np.asarray(np.ones(c) if weight is None else getattr(weight, "_data", weight), log_p.dtype)
    if factors.shape != (c,):
        raise ValueError(f"{op}: weight has shape {factors.shape}, wanted {(c,)}, one for each class")
    return factors.reshape(-1, *(1,) * (log_p.ndim - axis - 1))


@rounded_once
def mse_loss(input: Operand, target: Operand, reduction: str = "mean") -> Tensor:
    """(input − target)², of equal shapes. reduction: "mean", "sum" or "none". Raises ValueError for another,
    and for shapes that differ."""
    return _reduced("mse_loss", apply(rules.losses.mse, input, target), reduction)


@rounded_once
def l1_loss(input: Operand, target: Operand, reduction: str = "mean") -> Tensor:
    """|input − target|, of equal shapes; where they are equal the gradient is 0. reduction: "mean", "sum" or
    "none". Raises ValueError for another, and for shapes that differ."""
    return _reduced("l1_loss", apply(rules.losses.l1, input, target), reduction)


@rounded_once
def huber_loss(input: Operand, target: Operand, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """d²/2 where |d| ≤ delta, else delta·(|d| − delta/2), d = input − target, of equal shapes. reduction:
    "mean", "sum" or "none". Raises ValueError for another, for a delta not > 0 and shapes that differ."""
    if not is_number(delta) or not delta > 0:
        raise ValueError(f"huber_loss: delta is {delta!r}, wanted a number > 0")
    return _reduced("huber_loss", apply(rules.losses.huber, input, target, delta=delta), reduction)


@rounded_once
def smooth_l1_loss(input: Operand, target: Operand, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """d²/2β where |d| ≤ beta, else |d| − β/2, d = input − target: huber_loss divided by beta. beta: 0 for
    l1_loss. reduction: "mean", "sum" or "none". Raises ValueError for another, for a beta < 0 and shapes that
    differ."""
    if not is_number(beta) or not beta >= 0:
        raise ValueError(f"smooth_l1_loss: beta is {beta!r}, wanted a number >= 0")
    return huber_loss(input, target, reduction, beta) / beta if beta else l1_loss(input, target, reduction)


@rounded_once
def kl_div(input: Operand, target: Operand, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """target·(log target − input): the divergence of log-probabilities `input` from probabilities `target`.
    log_target: the target is log-probabilities too. reduction may also be "batchmean", the sum over the
    number of examples, which is the mathematical one; "mean" is over all entries. Raises ValueError for
    another reduction, and for shapes that differ."""
    log_target = flag("kl_div", "log_target", log_target)
    entries = apply(rules.losses.kl_div, input, target, log_target=log_target)
    if reduction == "batchmean":
        return entries.sum() / (entries.shape[0] if entries.ndim else 1)
    return _reduced("kl_div", entries, reduction, ("batchmean",))


@rounded_once
def binary_cross_entropy_with_logits(input: Operand, target: Operand, weight: Operand | None = None,
                                     reduction: str = "mean", pos_weight: Operand | None = None) -> Tensor:
    """−t·log σ(x) − (1 − t)·log σ(−x) of logits x = input and probabilities t = target, of equal shapes.
    weight: a factor for each entry; pos_weight: one for the first term. Both broadcast, and are buffers of a
    layer, not trained. reduction: "mean", "sum" or "none". Raises ValueError for another, and for shapes that
    do not fit."""
    losses = apply(rules.losses.binary_cross_entropy_with_logits, input, target, pos_weight)
    losses = losses if weight is None else losses * weight
    return _reduced("binary_cross_entropy_with_logits", losses, reduction)


def known(op: str, reduction: str, ignore_index: int = 0, more: tuple[str, ...] = ()) -> str:
    """The reduction. Raises ValueError for what is none, TypeError for an ignore_index that is no int."""
    if not is_int(ignore_index):
        raise TypeError(f"{op}: ignore_index is {ignore_index!r}, wanted an int")
    return rules.checks.one_of(op, "reduction", reduction, ("mean", *more, "sum", "none"))


def _reduced(op, losses, reduction, more=()):
    known(op, reduction, more=more)
    return losses if reduction == "none" else getattr(losses, reduction)()
