"""A right solution: a threshold, and a count of the equal ones that must go too; Adam on what is kept."""

import numpy as np


def magnitude_mask(w, sparsity):
    """As in the task."""
    size, count = np.abs(w).ravel(), round(sparsity * w.size)
    mask = np.ones(w.size, np.bool_)
    if count:
        threshold = np.partition(size, count - 1)[count - 1]
        mask[size < threshold] = False
        equal = np.flatnonzero(size == threshold)
        mask[equal[:count - np.count_nonzero(size < threshold)]] = False
    return mask.reshape(w.shape)


def cubic_sparsity(t, begin, end, initial, final):
    """As in the task."""
    u = np.clip((t - begin) / (end - begin), 0.0, 1.0)
    return initial + (final - initial) * (3 * u - 3 * u**2 + u**3)


def masked_adam_step(w, g, m, v, t, mask, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    """As in the task."""
    keep = mask.astype(bool)
    out = np.zeros((3, *w.shape))
    a, b = m[keep] + (1 - beta1) * (g[keep] - m[keep]), v[keep] + (1 - beta2) * (g[keep] * g[keep] - v[keep])
    out[1, keep], out[2, keep] = a, b
    out[0, keep] = w[keep] - lr * a / (1 - beta1**t) / (np.sqrt(b / (1 - beta2**t)) + eps)
    return list(out)


def prune_gradually(w, gradient, steps, begin, end, sparsity, lr):
    """As in the task."""
    w, moments, mask = w.copy(), [0 * w, 0 * w], np.full(w.shape, True)
    for t in 1 + np.arange(steps):
        w, *moments = masked_adam_step(w, gradient(w), *moments, t, mask, lr)
        mask &= magnitude_mask(w, cubic_sparsity(t, begin, end, 0.0, sparsity))
        w[~mask] = 0
    return w


def prune_only(w, sparsities, loss):
    """As in the task."""
    losses = []
    for sparsity in sparsities:
        pruned = w.copy()
        pruned[~magnitude_mask(w, sparsity)] = 0
        losses.append(loss(pruned))
    return losses


def prune_and_retrain(w, sparsities, train, loss):
    """As in the task."""
    masks = [magnitude_mask(w, sparsity) for sparsity in sparsities]
    trained = [train(w * mask, mask.astype(float)) for mask in masks]
    return [loss(each) for each in trained]


def prune_iteratively(w, sparsities, train, loss):
    """As in the task."""
    trained = [w]
    for sparsity in sparsities:
        mask = magnitude_mask(trained[-1], sparsity)
        trained.append(train(trained[-1] * mask, mask))
    return [loss(each) for each in trained[1:]]
