"""A right solution: cuts from right to left, true nesting of F(2,3), formulas in place of matrices."""

import numpy as np


def tt_svd(a, eps):
    """As in the task."""
    delta = max(eps / np.sqrt(max(a.ndim - 1, 1)), 1e-12) * np.linalg.norm(a)
    cores, squares, rank, rest = [], [], 1, a
    for n in reversed(a.shape[1:]):
        u, s, vt = np.linalg.svd(rest.reshape(-1, n * rank), full_matrices=False)
        keep = len(s)
        while keep > 1 and np.linalg.norm(s[keep - 1:]) <= delta:
            keep -= 1
        squares.append(np.linalg.norm(s[keep:]) ** 2)
        cores.insert(0, vt[:keep].reshape(keep, n, rank))
        rest, rank = u[:, :keep] * s[:keep], keep
    return [rest.reshape(1, a.shape[0], rank), *cores], np.sqrt(sum(squares))


def tt_tensor(cores):
    """As in the task."""
    found = cores[-1][..., 0]
    for core in cores[-2::-1]:
        found = np.einsum("anb,b...->an...", core, found)
    return found[0]


def winograd_matrices():
    """As in the task."""
    bt = [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]]
    g = [[1, 0, 0], [1 / 2, 1 / 2, 1 / 2], [1 / 2, -1 / 2, 1 / 2], [0, 0, 1]]
    at = [[1, 1, 1, 0], [0, 1, -1, 1]]
    return bt, g, at


def _nested(d, g, inner):
    """F(2,3) along the first axis; `inner` multiplies what stands there."""
    m1 = inner(d[0] - d[2], g[0])
    m2 = inner(d[1] + d[2], (g[0] + g[1] + g[2]) / 2)
    m3 = inner(d[2] - d[1], (g[0] - g[1] + g[2]) / 2)
    m4 = inner(d[1] - d[3], g[2])
    return np.array([m1 + m2 + m3, m2 - m3 - m4])


def winograd_1d(d, g, multiply):
    """As in the task."""
    return _nested(d, g, multiply)


def winograd_2d(d, g, multiply):
    """As in the task."""
    return _nested(d, g, lambda row, taps: winograd_1d(row, taps, multiply))


def winograd_image(x, g, multiply):
    """As in the task."""
    down, across = (x.shape[0] - 1) // 2, (x.shape[1] - 1) // 2
    canvas = np.zeros((2 * down + 2, 2 * across + 2))
    canvas[:x.shape[0], :x.shape[1]] = x
    rows = [np.hstack([winograd_2d(canvas[2 * i:2 * i + 4, 2 * j:2 * j + 4], g, multiply)
                       for j in range(across)]) for i in range(down)]
    return np.vstack(rows)[:x.shape[0] - 2, :x.shape[1] - 2]
