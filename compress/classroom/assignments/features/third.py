"""A right solution: whole arrays, cumulative sums of chunks, and states merged as a tree."""

import numpy as np


def features(x, w, keys, product):
    """As in the task."""
    x = np.divide(x, np.sqrt(np.sqrt(x.shape[1])))
    exponents = product(x, w.T) - np.einsum("ne,ne->n", x, x)[:, None] / 2
    c = exponents.max().reshape(1, 1) if keys else exponents.max(1).reshape(-1, 1)
    return np.exp(exponents - c), c


def variance(q, k, count):
    """As in the task."""
    x, y = (z / z.size**0.25 for z in (q, k))
    one = np.exp(x @ y)
    second = np.exp(2 * np.sum((x + y)**2) - x @ x - y @ y)
    return (second - one**2) / count


def orthogonal(w):
    """As in the task."""
    blocks = []
    for start in range(0, len(w), w.shape[1]):
        block = w[start:start + w.shape[1]]
        q, r = np.linalg.qr(block.T)
        signs = np.where(np.diag(r) < 0, -1.0, 1.0)
        blocks.append(q.T * signs[:, None] * np.sqrt((block**2).sum(1))[:, None])
    return np.vstack(blocks)


def linear_attention(q, k, v, w, product):
    """As in the task."""
    f, g = features(q, w, False, product)[0], features(k, w, True, product)[0]
    return product(f, product(np.ascontiguousarray(g.T), v)) / product(f, g.sum(0)[:, None])


def causal_attention(q, k, v, w, size, product):
    """As in the task."""
    f, g = features(q, w, False, product)[0], features(k, w, True, product)[0]
    wide = np.hstack([v, np.ones((len(v), 1))])
    chunks = [slice(start, start + size) for start in range(0, len(q), size)]
    own = np.array([product(g[rows].T, wide[rows]) for rows in chunks])
    before = np.cumsum(own, axis=0) - own
    found = []
    for rows, sums in zip(chunks, before, strict=True):
        weights = product(f[rows], g[rows].T)
        weights = np.where(np.arange(len(weights)) <= np.arange(len(weights))[:, None], weights, 0)
        found.append(product(f[rows], sums) + product(weights, wide[rows]))
    found = np.vstack(found)
    return found[:, :-1] / found[:, -1:]


def state(q, k, v):
    """As in the task."""
    scores = np.einsum("le,se->ls", q, k) / np.sqrt(k.shape[1])
    m = scores.max(-1)
    p = np.exp(scores - m.reshape(-1, 1))
    return m, np.sum(p, 1), p.dot(v)


def merged(a, b):
    """As in the task."""
    m = np.max([a[0], b[0]], axis=0)
    shares = [np.exp(one[0] - m) for one in (a, b)]
    s = sum(share * one[1] for share, one in zip(shares, (a, b), strict=True))
    o = sum(share.reshape(-1, 1) * one[2] for share, one in zip(shares, (a, b), strict=True))
    return m, s, o


def attention(q, blocks):
    """As in the task."""
    def tree(some):
        """The state of some blocks."""
        if len(some) == 1:
            return state(q, *some[0])
        half = len(some) // 2
        return merged(tree(some[:half]), tree(some[half:]))

    _, s, o = tree(blocks)
    return o / s[:, None]
