"""A right solution: recursive cuts after a QR decomposition, other points of interpolation (0, 1, 2, ∞), all
tiles at once."""

import numpy as np


def tt_svd(a, eps):
    """As in the task."""
    delta = max(eps / max(a.ndim - 1, 1) ** 0.5, 1e-12) * np.sqrt((a * a).sum())
    cores, cuts = _split(a.reshape(1, *a.shape), delta)
    return cores, float(np.hypot.reduce(np.array([0.0, *cuts])))


def _split(rest, delta):
    """The cores of an array (rank, n₁, …), and what each cut costs."""
    if rest.ndim == 2:
        return [rest[:, :, None]], []
    rank, n = rest.shape[:2]
    q, r = np.linalg.qr(rest.reshape(rank * n, -1).T)
    u, s, w = np.linalg.svd(r.T, full_matrices=False)
    costs = [np.sqrt((s[kept:] ** 2).sum()) for kept in range(len(s) + 1)]
    keep = max(1, min(kept for kept, cost in enumerate(costs) if cost <= delta))
    left = ((s[:keep, None] * w[:keep]) @ q.T).reshape(keep, *rest.shape[2:])
    cores, cuts = _split(left, delta)
    return [u[:, :keep].reshape(rank, n, keep), *cores], [costs[keep], *cuts]


def tt_tensor(cores):
    """As in the task."""
    shape = tuple(core.shape[1] for core in cores)
    found = np.empty(shape)
    for index in np.ndindex(shape):
        row = np.ones(1)
        for core, i in zip(cores, index, strict=True):
            row = row @ core[:, i]
        found[index] = row[0]
    return found


def winograd_matrices():
    """As in the task."""
    bt = np.array([[2, -3, 1, 0], [0, -2, 1, 0], [0, -1, 1, 0], [0, 2, -3, 1]])
    g = np.array([[1, 0, 0], [-2, -2, -2], [1, 2, 4], [0, 0, 2]]) / 2
    at = np.array([[1, 1, 1, 0], [0, 1, 2, 1]])
    return bt, g, at


def winograd_1d(d, g, multiply):
    """As in the task."""
    bt, points, at = winograd_matrices()
    return np.einsum("ik,k->i", at, multiply(bt.dot(d), points.dot(g)))


def winograd_2d(d, g, multiply):
    """As in the task."""
    return _tiles(d[None], g, multiply)[0]


def _tiles(d, g, multiply):
    """The outputs of all tiles (n, 4, 4) at once: (n, 2, 2)."""
    bt, points, at = winograd_matrices()
    filters = np.broadcast_to(points @ g @ points.T, d.shape)
    return at @ multiply(bt @ d @ bt.T, filters) @ at.T


def winograd_image(x, g, multiply):
    """As in the task."""
    height, width = x.shape[0] - 2, x.shape[1] - 2
    down, across = -(-height // 2), -(-width // 2)
    padded = np.zeros((2 * down + 2, 2 * across + 2))
    padded[:height + 2, :width + 2] = x
    tiles = np.lib.stride_tricks.sliding_window_view(padded, (4, 4))[::2, ::2].reshape(-1, 4, 4)
    y = _tiles(tiles, g, multiply).reshape(down, across, 2, 2).transpose(0, 2, 1, 3)
    return y.reshape(2 * down, 2 * across)[:height, :width]
