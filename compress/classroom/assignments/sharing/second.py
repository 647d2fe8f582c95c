"""A right solution: lists and loops, and bits as text."""

import numpy as np


def first_centroids(w, k):
    """As in the task."""
    low, high = float(np.min(w)), float(np.max(w))
    return np.array([low + (high - low) / (k - 1) * j for j in range(k)])


def nearest(w, centroids):
    """As in the task."""
    codes = np.zeros(w.shape, np.int32)
    for i in np.ndindex(w.shape):
        for j in range(1, len(centroids)):
            if abs(w[i] - centroids[j]) < abs(w[i] - centroids[codes[i]]):
                codes[i] = j
    return codes


def moved(w, codes, centroids):
    """As in the task."""
    new = []
    for j, old in enumerate(centroids):
        members = w[codes == j]
        new.append(members.astype(float).mean() if members.size else float(old))
    return np.array(new)


def lloyd(w, centroids, moves):
    """As in the task."""
    while moves > 0:
        moves -= 1
        new = moved(w, nearest(w, centroids), centroids)
        if (new == centroids).all():
            break
        centroids = new
    return np.array(centroids, dtype=float), nearest(w, centroids)


def centroid_gradients(g, codes, k):
    """As in the task."""
    return np.array([float(np.sum(g, where=codes == j)) for j in range(k)])


def pack(codes, bits):
    """As in the task."""
    text = "".join(format(int(code), f"0{bits}b")[::-1] for code in codes.ravel())
    text += "0" * (-len(text) % 8)
    return np.array([int(text[i:i + 8][::-1], 2) for i in range(0, len(text), 8)], np.uint8)


def unpack(packed, bits, count):
    """As in the task."""
    text = "".join(format(int(byte), "08b")[::-1] for byte in packed)
    return np.array([int(text[i * bits:(i + 1) * bits][::-1], 2) for i in range(count)], np.uint8)


def stored_bytes(count, bits):
    """As in the task."""
    whole, rest = divmod(count * bits, 8)
    return whole + (rest > 0) + (4 << bits)


def share(w, bits, moves=100):
    """As in the task."""
    centroids, codes = lloyd(w.astype(float), first_centroids(w, 1 << bits), moves)
    return centroids.astype(np.float32), pack(codes, bits)


def restore(table, packed, bits, shape):
    """As in the task."""
    codes = unpack(packed, bits, int(np.prod(shape)))
    return np.array([table[code] for code in codes], np.float32).reshape(shape)
