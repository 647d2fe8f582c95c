"""OBD and OBS, solved a third time: backward by matrices, one weight at a time by elimination as with the
sweep operator, groups as a sequence of single weights, the oracle by a depth-first search."""

import numpy as np


def jacobian(w1, w2, x):
    """As in the task: every output's gradient goes back through the network by itself."""
    hidden = np.tanh(np.matmul(x, w1.T))
    found = np.zeros((x.shape[0], w2.shape[0], w1.size + w2.size))
    for o, seed in enumerate(np.eye(w2.shape[0])):
        back = (seed @ w2) * (1 - hidden * hidden)
        found[:, o, :w1.size] = (back[:, :, None] * x[:, None, :]).reshape(len(x), -1)
        found[:, o, w1.size:] = (seed[:, None] * hidden[:, None, :]).reshape(len(x), -1)
    return found


def gauss_newton(j):
    """As in the task: an average of matrices."""
    return np.mean(np.swapaxes(j, 1, 2) @ j, axis=0)


def gauss_newton_diagonal(j):
    """As in the task: the mean over samples and outputs, times how many outputs there are."""
    return np.mean(np.square(j), axis=(0, 1)) * j.shape[1]


def damped_inverse(h, damping):
    """As in the task, by Cholesky's factor."""
    n = len(h)
    factor = np.linalg.cholesky(h + np.diag(np.full(n, damping * np.trace(h) / n)))
    half = np.linalg.solve(factor, np.eye(n))
    return half.T @ half


def obd_saliency(w, h):
    """As in the task."""
    return np.multiply(0.5 * w, w) * h


def obd(w, h, k):
    """As in the task: who has so many before it goes."""
    cost = obd_saliency(w, h).tolist()
    ranks = [sum((other, i) < (one, q) for i, other in enumerate(cost)) for q, one in enumerate(cost)]
    gone = np.array(ranks) < len(w) - k
    return np.where(gone, 0.0, w), sum(one for one, goes in zip(cost, gone, strict=True) if goes) + 0.0


def obs_saliency(w, inverse):
    """As in the task."""
    gone = np.diagonal(inverse) == 0
    return np.where(gone, np.inf, w * w / (2 * np.where(gone, 1.0, np.diagonal(inverse))))


def remove(w, inverse, q):
    """As in the task: w, too, is a row below H⁻¹, from which the same is taken away."""
    table = np.vstack([inverse, w])
    table = table - np.outer(table[:, q] / inverse[q, q], inverse[q])
    table[q], table[:, q] = 0.0, 0.0
    return table[-1].copy(), table[:-1].copy(), float(0.5 * w[q] * (w[q] / inverse[q, q]))


def obs(w, inverse, k):
    """As in the task."""
    order, costs, left = [], [], np.array(w)
    while len(order) < len(w) - k:
        saliency = obs_saliency(left, inverse).tolist()
        order.append(saliency.index(min(saliency)))
        left, inverse, cost = remove(left, inverse, order[-1])
        costs.append(cost)
    return left, order, costs


def remove_group(w, inverse, group):
    """As in the task: what leaves one by one leaves the same."""
    total = 0.0
    for q in group:
        w, inverse, cost = remove(w, inverse, q)
        total += cost
    return w, inverse, total


def oracle(w, inverse, k):
    """As in the task: surgery along a tree, in which no branch costs less than its stem."""
    best = [np.inf, None]

    def search(w, inverse, start, stay, spent):
        if spent >= best[0] or len(stay) < k:
            return
        if len(stay) == k:
            best[:] = spent, stay
            return
        for q in range(start, len(w)):
            moved, left, cost = remove(w, inverse, q)
            search(moved, left, q + 1, [i for i in stay if i != q], spent + cost)

    search(w, inverse, 0, list(range(len(w))), 0.0)
    return best[1], best[0]
