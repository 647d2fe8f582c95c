"""Soft targets: the probabilities that a teacher gives all classes, and how far a student is from them.

A teacher's second choice says what an image also looks like, and is nearly nothing beside the first. Divided
by a temperature T > 1 before softmax, the logits v of the teacher give a softer distribution, in which it
counts (Hinton, Vinyals & Dean 2015, "Distilling the knowledge in a neural network", eq. 1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import functional as F
from ..arguments import instance, number
from ..tensor import Tensor

LIMITS = 1e-18, 1e18  # of the temperature of a loss: T² and 1/T are float32 numbers


def soft_targets(logits: np.ndarray | Sequence[np.ndarray], temperature: float = 1.0) -> np.ndarray:
    """softmax(logits/T) of one teacher's logits (N, C), or (N, T, C) of tokens: probabilities of their shape.
    Of a list of such arrays, of several teachers, their mean (Hinton et al. 2015, §1: the arithmetic mean of
    the distributions).

    temperature: T > 0; near 0 the largest logit has all. They are computed in float64, and have the dtype of
    the (first) logits. Raises TypeError for what are no floats, ValueError for another shape, or several, for
    NaN and infinity, which no softmax can use, and for a temperature that is not > 0."""
    temperature = number("soft_targets", "temperature", temperature, above=True)
    each = logits if isinstance(logits, (list, tuple)) else [logits]
    each = [checked_logits("soft_targets", "logits", one) for one in each]
    if len({one.shape for one in each}) != 1:
        raise ValueError("soft_targets: wanted logits of one shape from all teachers, got "
                         f"{[one.shape for one in each]}")
    return (sum(_softmax(one, temperature) for one in each) / len(each)).astype(each[0].dtype)


def soft_loss(logits: Tensor, targets: np.ndarray, temperature: float = 1.0) -> Tensor:
    """T²·KL(p ‖ softmax(z/T)), the mean over the N examples, or over all their tokens: a scalar.

    logits: z (N, C), or (N, T, C) of tokens, of the student. targets: p of the same shape, as soft_targets
    gives them for the same temperature T. Gradients through z/T fall as 1/T² (one T of the division, one of
    the targets, which approach each other), and the factor T² keeps their size, so that a mixture with hard
    labels stays what it is as T changes (Hinton et al. 2015, §2). As T → ∞ the gradient of example n becomes
    (zₙ − vₙ)/(N·C) for logits of mean 0, that of a square (§2.1, eq. 4). "batchmean", not "mean": a
    divergence is a sum over classes.
    Raises TypeError for targets that are no array, ValueError for shapes that differ, a number of classes
    above all, for targets below 0 or of a sum other than 1 (a teacher's logits are none: soft_targets makes
    them), and for a temperature that is not from 1e-18 to 1e18, so that T² is a float32 number."""
    temperature = number("soft_loss", "temperature", temperature, *LIMITS, closed=True)
    instance("soft_loss", "targets", targets, np.ndarray, "an array of probabilities")
    if targets.dtype.kind not in "fiub":
        raise TypeError(f"soft_loss: targets must be an array of probabilities, got {targets.dtype}")
    instance("soft_loss", "logits", logits, (Tensor, np.ndarray), "a Tensor or an array")
    logits = logits if isinstance(logits, Tensor) else Tensor(logits)
    if logits.ndim not in (2, 3) or logits.shape != targets.shape or not logits.size:
        raise ValueError(f"soft_loss: the student's logits are {logits.shape}, and the teacher's targets "
                         f"{targets.shape}; wanted (N, classes) of both, or (N, T, classes)")
    if not (targets >= 0).all() or not np.allclose(targets.sum(axis=-1, dtype=np.float64), 1, atol=1e-2):
        raise ValueError("soft_loss: targets must be probabilities, rows of sum 1, as soft_targets makes "
                         "them")
    log_q = F.log_softmax(logits.reshape(-1, logits.shape[-1]) / temperature)
    p = targets.reshape(log_q.shape).astype(log_q.dtype, copy=False)
    return temperature**2 * F.kl_div(log_q, p, "batchmean")


def checked_logits(who: str, name: str, logits: np.ndarray) -> np.ndarray:
    """The `logits` of a teacher, (N, C) or (N, T, C); TypeError or ValueError for others."""
    instance(who, name, logits, np.ndarray, "an array of floats")
    if logits.dtype.kind != "f":
        raise TypeError(f"{who}: {name} must be floats, got {logits.dtype}")
    if logits.ndim not in (2, 3) or not logits.size:
        raise ValueError(f"{who}: {name} must be (N, classes) or (N, T, classes), got {logits.shape}")
    if not np.isfinite(logits).all():
        raise ValueError(f"{who}: {name} have NaN or infinity, for example at "
                         f"{tuple(np.argwhere(~np.isfinite(logits))[0].tolist())}")
    return logits


def _softmax(logits, temperature):
    v = logits.astype(np.float64)
    with np.errstate(over="ignore"):  # −∞ has the probability 0
        powers = np.exp((v - v.max(axis=-1, keepdims=True)) / temperature)
    return powers / powers.sum(axis=-1, keepdims=True)
