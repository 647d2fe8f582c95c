"""A right solution: whole arrays, one-hot labels, and bisection by recursion."""

import numpy as np


def softened(logits, temperature):
    """As in the task."""
    teachers = logits.reshape(-1, *logits.shape[-2:])
    return np.mean([np.exp(_log_q(one, temperature)) for one in teachers], axis=0)


def _log_q(z, temperature):
    """As in the task."""
    moved = (z - z.max(1)[:, None]) / temperature
    return moved - np.log(np.sum(np.exp(moved), 1))[:, None]


def soft_loss(z, p, temperature):
    """As in the task."""
    entropy = -np.sum(p * np.log(p, where=p > 0, out=np.zeros_like(p)))
    crossed = -np.sum(np.where(p > 0, p, 0) * _log_q(z, temperature))
    return (crossed - entropy) * temperature**2 / len(p)


def soft_gradient(z, p, temperature):
    """As in the task."""
    return np.divide(np.exp(_log_q(z, temperature)) - p, len(z) / temperature)


def gradient(z, p, labels, temperature, soft):
    """As in the task."""
    known = (labels != -1).astype(float)
    one_hot = labels[:, None] == np.arange(z.shape[1])
    hard = known[:, None] * (np.exp(_log_q(z, 1)) - one_hot)
    many = known.sum()
    return soft * soft_gradient(z, p, temperature) + (1 - soft) * (hard / many if many else 0 * hard)


def train(student, x, labels, said, orders, size, temperature, soft, rate):
    """As in the task."""
    both = np.vstack([student["w"], student["b"]])
    wide, p = np.hstack([x, np.ones((len(x), 1))]), softened(said, temperature)
    for order in orders:
        for i in range((len(order) + size - 1) // size):
            rows = order[i * size:(i + 1) * size]
            g = gradient(wide[rows] @ both, p[rows], labels[rows], temperature, soft)
            both = both - rate * (wide[rows].T @ g)
    return {"w": both[:-1].copy(), "b": both[-1].copy()}


def smallest(accuracy, widths, wanted):
    """As in the task."""
    def among(some):
        """The first that is enough, of widths of which the last is."""
        if len(some) == 1:
            return some[0]
        half = (len(some) - 1) // 2
        return among(some[:half + 1] if accuracy(some[half]) >= wanted else some[half + 1:])

    return among(widths) if accuracy(widths[-1]) >= wanted else None
