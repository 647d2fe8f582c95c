"""A right solution: logarithms of probabilities throughout, and loops over examples."""

import math

import numpy as np


def _log_softmax(row):
    """As in the task."""
    top = float(np.max(row))
    return row - top - math.log(sum(math.exp(v - top) for v in row.tolist()))


def _probabilities(logits, temperature):
    """As in the task."""
    return np.array([np.exp(_log_softmax(row / temperature)) for row in logits])


def softened(logits, temperature):
    """As in the task."""
    if logits.ndim == 2:
        return _probabilities(logits, temperature)
    total = np.zeros(logits.shape[1:])
    for one in logits:
        total += _probabilities(one, temperature)
    return total / len(logits)


def soft_loss(z, p, temperature):
    """As in the task."""
    total = 0.0
    for row, wanted in zip(z, p, strict=True):
        log_q = _log_softmax(row / temperature)
        total += sum(w * (math.log(w) - q) for w, q in zip(wanted.tolist(), log_q.tolist(), strict=True) if w)
    return total * temperature * temperature / z.shape[0]


def soft_gradient(z, p, temperature):
    """As in the task."""
    return (_probabilities(z, temperature) - p) * (temperature / z.shape[0])


def gradient(z, p, labels, temperature, soft):
    """As in the task."""
    g = soft * soft_gradient(z, p, temperature)
    rows = [n for n, label in enumerate(labels) if label != -1]
    for n in rows:
        wanted = np.zeros(z.shape[1])
        wanted[labels[n]] = 1
        g[n] += (1 - soft) * (np.exp(_log_softmax(z[n])) - wanted) / len(rows)
    return g


def train(student, x, labels, said, orders, size, temperature, soft, rate):
    """As in the task."""
    w, b = np.array(student["w"]), np.array(student["b"])
    for order in orders:
        left = list(order)
        while left:
            rows, left = left[:size], left[size:]
            p = softened(said[:, rows], temperature)
            g = gradient(x[rows].dot(w) + b, p, labels[rows], temperature, soft)
            w -= rate * x[rows].T.dot(g)
            b -= rate * g.sum(0)
    return {"w": w, "b": b}


def smallest(accuracy, widths, wanted):
    """As in the task."""
    if not accuracy(widths[-1]) >= wanted:
        return None
    not_enough, enough = -1, len(widths) - 1
    while enough - not_enough > 1:
        middle = not_enough + (enough - not_enough) // 2
        if accuracy(widths[middle]) >= wanted:
            enough = middle
        else:
            not_enough = middle
    return widths[enough]
