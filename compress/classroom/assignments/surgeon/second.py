"""OBD and OBS, solved again: derivatives by loops, everything from H itself, of which H⁻¹ is inverted."""

import numpy as np


def jacobian(w1, w2, x):
    """As in the task: sample by sample, output by output."""
    return np.array([[gradient(w1, row, sample) for row in _rows(w2)] for sample in x])


def _rows(w2):
    """Of each output, w2 with the other rows 0."""
    return [np.where(np.arange(len(w2))[:, None] == o, w2, 0) for o in range(len(w2))]


def gradient(w1, w2, sample):
    """Of the sum of outputs of w2's rows that are not 0, by all weights."""
    a = np.tanh(w1 @ sample)
    slope = w2.sum(axis=0) * (1 - a) * (1 + a)
    used = (w2 != 0).any(axis=1)
    return np.concatenate([np.outer(slope, sample).ravel(), np.outer(used, a).ravel()])


def gauss_newton(j):
    """As in the task: a sum of products of outer products."""
    h = np.zeros((j.shape[2],) * 2)
    for sample in j:
        for row in sample:
            h += np.outer(row, row)
    return h / j.shape[0]


def gauss_newton_diagonal(j):
    """As in the task."""
    return np.einsum("noq,noq->q", j, j) / j.shape[0]


def damped_inverse(h, damping):
    """As in the task, by the eigenvalues of H, which are 0 or more."""
    values, vectors = np.linalg.eigh(h)
    return (vectors / (values.clip(0) + damping * values.mean())) @ vectors.T


def obd_saliency(w, h):
    """As in the task."""
    return np.array([0.5 * curvature * value * value for value, curvature in zip(w, h, strict=True)])


def obd(w, h, k):
    """As in the task: one after the other, which for a diagonal is the same."""
    pruned, cost, left = w.copy(), 0.0, obd_saliency(w, h)
    for _ in range(len(w) - k):
        q = left.argmin()
        cost += left[q]
        pruned[q], left[q] = 0.0, np.inf
    return pruned, float(cost)


def there(inverse):
    """The weights that are not gone."""
    return [q for q in range(len(inverse)) if inverse[q, q] != 0]


def obs_saliency(w, inverse):
    """As in the task."""
    found = np.full(w.shape, np.inf)
    for q in there(inverse):
        found[q] = w[q] ** 2 / (2 * inverse[q, q])
    return found


def remove(w, inverse, q):
    """As in the task."""
    return remove_group(w, inverse, [q])


def remove_group(w, inverse, group):
    """As in the task, by H: with M the weights that go and S those that stay, δ_S = H_SS⁻¹ H_SM w_M."""
    have = there(inverse)
    h = np.zeros_like(inverse)
    h[np.ix_(have, have)] = np.linalg.inv(inverse[np.ix_(have, have)])
    stay = [q for q in have if q not in group]
    smaller, moved = np.zeros_like(inverse), np.zeros_like(w)
    smaller[np.ix_(stay, stay)] = np.linalg.inv(h[np.ix_(stay, stay)])
    moved[stay] = w[stay] + (smaller @ h)[np.ix_(stay, group)] @ w[group]
    change = moved - w
    return moved, smaller, 0.5 * float(change @ h @ change)


def obs(w, inverse, k):
    """As in the task, by recursion."""
    if len(there(inverse)) == k:
        return w.copy(), [], []
    saliency = obs_saliency(w, inverse)
    q = min(there(inverse), key=lambda i: (saliency[i], i))
    moved, order, costs = obs(*remove(w, inverse, q)[:2], k)
    return moved, [q, *order], [float(saliency[q]), *costs]


def oracle(w, inverse, k):
    """As in the task: all sets, by the bits of a number."""
    n, best = len(w), ([], np.inf)
    for bits in range(2**n):
        stay = [q for q in range(n) if bits >> q & 1]
        if len(stay) == k:
            cost = remove_group(w, inverse, [q for q in range(n) if q not in stay])[2]
            best = min(best, (stay, cost), key=lambda found: found[1])
    return best
