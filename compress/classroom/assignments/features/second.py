"""A right solution: loops over queries and keys, Gram–Schmidt, and prefix sums one row at a time."""

import math

import numpy as np


def _exponents(x, w, product):
    """w·x̂ − ½‖x̂‖², of all x̂ and w."""
    scaled = x * x.shape[1] ** -0.25
    return product(scaled, np.ascontiguousarray(w.T)) - np.array([[0.5 * float(row @ row)] for row in scaled])


def features(x, w, keys, product):
    """As in the task."""
    exponents = _exponents(x, w, product)
    c = np.full((1, 1), exponents.max()) if keys else np.array([[row.max()] for row in exponents])
    return np.exp(exponents - c), c


def variance(q, k, count):
    """As in the task."""
    root = math.sqrt(len(q))
    inner = float(q @ k) / root
    squares = (float(q @ q) + float(k @ k)) / root
    return (math.exp(squares + 4 * inner) - math.exp(2 * inner)) / count


def orthogonal(w):
    """As in the task."""
    made = []
    for i, row in enumerate(w):
        left = row.copy()
        for _ in range(2):  # twice is enough for right angles
            for above in made[i - i % w.shape[1]:i]:
                left = left - (left @ above) / (above @ above) * above
        made.append(left * math.sqrt(row @ row) / math.sqrt(left @ left))
    return np.array(made)


def linear_attention(q, k, v, w, product):
    """As in the task."""
    f, g = features(q, w, False, product)[0], features(k, w, True, product)[0]
    wide = np.concatenate([v, np.ones((len(v), 1))], axis=1)  # the last column adds up weights
    both = product(f, product(g.T, wide))
    return both[:, :-1] / both[:, -1:]


def causal_attention(q, k, v, w, size, product):
    """As in the task: chunks of one row are right, too."""
    f, g = features(q, w, False, product)[0], features(k, w, True, product)[0]
    wide = np.concatenate([v, np.ones((len(v), 1))], axis=1)
    sums, rows = np.zeros((len(w), wide.shape[1])), []
    for i in range(len(q)):
        sums = sums + product(g[i:i + 1].T, wide[i:i + 1])
        rows.append(product(f[i:i + 1], sums)[0])
    found = np.array(rows)
    return found[:, :-1] / found[:, -1:]


def state(q, k, v):
    """As in the task."""
    root, m, s, o = math.sqrt(q.shape[1]), [], [], []
    for query in q:
        scores = [float(query @ key) / root for key in k]
        m.append(max(scores))
        p = [math.exp(score - m[-1]) for score in scores]
        s.append(sum(p))
        o.append(sum(weight * value for weight, value in zip(p, v, strict=True)))
    return np.array(m), np.array(s), np.array(o)


def merged(a, b):
    """As in the task."""
    made = []
    for ma, sa, oa, mb, sb, ob in zip(*a, *b, strict=True):
        if ma < mb:
            ma, sa, oa, mb, sb, ob = mb, sb, ob, ma, sa, oa
        f = math.exp(mb - ma)
        made.append((ma, sa + f * sb, oa + f * ob))
    return tuple(np.array(part) for part in zip(*made, strict=True))


def attention(q, blocks):
    """As in the task."""
    m, s, o = state(q, *blocks[-1])
    for k, v in reversed(blocks[:-1]):
        m, s, o = merged(state(q, k, v), (m, s, o))
    return o / s.reshape(-1, 1)
