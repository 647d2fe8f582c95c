"""A right solution: ranks by sorting pairs, Adam one weight at a time, curves by recursion."""

import math

import numpy as np


def magnitude_mask(w, sparsity):
    """As in the task."""
    pairs = sorted((abs(float(value)), place) for place, value in enumerate(w.flat))
    gone = {place for _, place in pairs[:round(sparsity * len(pairs))]}
    return np.array([place not in gone for place in range(len(pairs))]).reshape(w.shape)


def cubic_sparsity(t, begin, end, initial, final):
    """As in the task."""
    if t <= begin:
        return initial
    if t >= end:
        return final
    left = (end - t) / (end - begin)
    return initial * left**3 + final * (1 - left**3)


def masked_adam_step(w, g, m, v, t, mask, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    """As in the task."""
    new = [np.zeros(w.shape) for _ in range(3)]
    for i in np.ndindex(w.shape):
        if mask[i]:
            a = beta1 * m[i] + (1 - beta1) * g[i]
            b = beta2 * v[i] + (1 - beta2) * g[i] ** 2
            rate = lr * math.sqrt(1 - beta2**t) / (1 - beta1**t)
            new[0][i] = w[i] - rate * a / (math.sqrt(b) + eps * math.sqrt(1 - beta2**t))
            new[1][i], new[2][i] = a, b
    return new


def prune_gradually(w, gradient, steps, begin, end, sparsity, lr):
    """As in the task."""
    def after(t):
        if t == 0:
            return w, np.zeros(w.shape), np.zeros(w.shape), np.ones(w.shape, bool)
        before, m, v, mask = after(t - 1)
        now, m, v = masked_adam_step(before, gradient(before), m, v, t, mask, lr)
        mask = magnitude_mask(now, cubic_sparsity(t, begin, end, 0, sparsity))
        return np.where(mask, now, 0), m, v, mask

    return after(steps)[0]


def prune_only(w, sparsities, loss):
    """As in the task."""
    return tuple(loss(np.where(magnitude_mask(w, sparsity), w, 0)) for sparsity in sparsities)


def prune_and_retrain(w, sparsities, train, loss):
    """As in the task."""
    return [prune_iteratively(w, [sparsity], train, loss)[0] for sparsity in sparsities]


def prune_iteratively(w, sparsities, train, loss):
    """As in the task."""
    if not sparsities:
        return []
    mask = magnitude_mask(w, sparsities[0])
    trained = train(np.where(mask, w, 0), mask)
    return [loss(trained), *prune_iteratively(trained, sparsities[1:], train, loss)]
