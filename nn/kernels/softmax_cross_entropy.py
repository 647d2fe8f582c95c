"""softmax_cross_entropy and its gradient: the loss of a classifier, from logits and the right classes."""

import numpy as np

from .kernel import kernel


@kernel(x="f32[N,C]", classes="s64||int[N]", out=("losses: f32[N]", "p: f32[N,C]"))
def softmax_cross_entropy(x: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each row of logits x (N, C), with its class in 0 … C − 1, the loss and the softmax; float32.

        loss = log Σₖ exp xₖ − x[class]    p = exp(x) / Σₖ exp xₖ

    Each row is taken less its largest entry, which changes neither and lets nothing overflow. Returns: losses
    (N,) and p (N, C). A row with a NaN, with +∞, or with nothing but −∞ gives NaN in both.
    C is at least 1. Bounds: nn/testing/domain_entropy.py.
    """
    shifted = x - x.max(axis=1, keepdims=True)
    p = np.exp(shifted)
    total = p.sum(axis=1, keepdims=True)
    return np.log(total[:, 0]) - shifted[np.arange(len(x)), classes], p / total


@kernel(g="f32[N]", p="f32[N,C]", classes="s64||int[N]", out="f32[N,C]")
def softmax_cross_entropy_grad(g: np.ndarray, p: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """dx = g·(p − onehot(class)), the gradient of the losses for g = ∂L/∂losses (N,); float32 (N, C).

    p and classes are what softmax_cross_entropy gave, and what it was given.
    """
    dx = p * g[:, None]
    dx[np.arange(len(p)), classes] -= g
    return dx


def _columns(who, x, name="x") -> None:
    if not x[1]:
        raise ValueError(f"{who}: {name} must have at least one column, got shape {x}")


def _known(who, x, classes) -> None:
    if classes.size and not 0 <= classes.min() <= classes.max() < x.shape[1]:
        came = f"{classes.min()} to {classes.max()}"
        raise ValueError(f"{who}: classes must be in 0..{x.shape[1] - 1}, got {came}")


softmax_cross_entropy.runs("nn_softmax_cross_entropy(N, C, x, classes, losses, p)",
                           plan=lambda who, x: _columns(who, x), values=_known)
softmax_cross_entropy_grad.runs("nn_softmax_cross_entropy_grad(N, C, g, p, classes, out)",
                                plan=lambda who, p: _columns(who, p, "p"),
                                values=lambda who, p, classes: _known(who, p, classes))
