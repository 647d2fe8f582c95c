"""Where marks and labels go on a crowded chart, in pixels: no mark hides another, labels cover nothing.

Labels are placed one after another at the best of many candidates around their marks, and again until none
wants to move (Christensen, Marks & Shieber 1995, §4: iterative local search). Nothing is random: the same
points give the same picture."""

from itertools import combinations

import numpy as np

DIRECTIONS = np.linspace(0, 2 * np.pi, 24, endpoint=False)
DISTANCES = (1.0, 1.8, 2.8, 4.0, 5.5, 7.5, 10.0)  # from a mark to its label, in gaps
LABEL, MARK, TOUCH = 40.0, 4.0, 0.5  # what it costs to touch a label, to hide a mark, to touch what is taken,
CROSS = 20.0  # to be crossed by another label's line, or to cross a label with its own,
LEADER, OTHER, FAR = 0.8, 3.0, 0.15  # to cross what is taken, to be nearer to others, to be far


def apart(points: np.ndarray, bars: np.ndarray, gap: float) -> np.ndarray:
    """The x of each of the marks at `points` (n, 2), moved a little where marks would hide each other: those
    come to stand `gap` from each other, or half of it where only their error bars (n, 2), from y to y, run
    side by side. Each gives way by half."""
    x, y = points.astype(np.float64).T.copy()
    for _ in range(100):
        moved = False
        for i, j in combinations(range(len(x)), 2):
            beside = min(bars[i, 1], bars[j, 1]) > max(bars[i, 0], bars[j, 0])
            wanted = gap if abs(y[j] - y[i]) < gap else gap / 2 if beside else 0
            short = wanted - abs(x[j] - x[i])
            if short > 1e-6:
                step = short / 2 if x[j] >= x[i] else -short / 2
                x[i], x[j], moved = x[i] - step, x[j] + step, True
        if not moved:
            break
    return x


def overlap(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Areas that each of n boxes (x0, y0, x1, y1) shares with each of m others: (n, 4), (m, 4) → (n, m)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.prod(np.maximum(high - low, 0), axis=2)


def crossed(starts: np.ndarray, ends: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Whether each of n lines, from start (n, 2) to end (n, 2), goes through each of m boxes: (n, m). It does
    if the parts of it that are within the box in x and in y have something in common."""
    way = (ends - starts)[:, None]
    way = np.where(way == 0, 1e-9, way)
    one, other = (boxes[None, :, :2] - starts[:, None]) / way, (boxes[None, :, 2:] - starts[:, None]) / way
    enters = np.minimum(one, other).max(axis=2)
    leaves = np.maximum(one, other).min(axis=2)
    return np.maximum(enters, 0) < np.minimum(leaves, 1)


def place(points: np.ndarray, sizes: np.ndarray, taken: np.ndarray, frame: np.ndarray,
          gap: float) -> np.ndarray:
    """Centres (n, 2) for labels of `sizes` (n, 2) beside `points` (n, 2), inside the box `frame` (4,).

    `taken` (m, 4) are the boxes of what must stay visible: marks, bars. `gap` is the least distance between a
    point and its label. Where not everything fits, the most important stays free: labels, then marks."""
    around = np.array([(np.cos(a), np.sin(a), r) for r in DISTANCES for a in DIRECTIONS])
    reach = sizes[:, None] / 2 + gap * around[None, :, 2:]
    candidates = points[:, None] + around[None, :, :2] * reach  # (n, candidates, 2)
    half = sizes[:, None] / 2
    inside = np.minimum(candidates - half - frame[:2], frame[2:] - candidates - half).min(axis=2)
    outside = np.maximum(-inside, 0) / gap * 2 * LABEL
    centres = np.full_like(points, np.nan, dtype=np.float64)

    def cost(i: int) -> np.ndarray:
        """Of each candidate of label i, the other labels standing where they are."""
        boxes = np.hstack([candidates[i] - half[i], candidates[i] + half[i]])
        others = [j for j in range(len(points)) if j != i and not np.isnan(centres[j, 0])]
        labels = np.hstack([centres[others] - sizes[others] / 2, centres[others] + sizes[others] / 2])
        ends = np.clip(points[:, None], boxes[:, :2], boxes[:, 2:])  # where each point is nearest to the box
        away = np.linalg.norm(points[:, None] - ends, axis=2)
        nearest = np.delete(away, i, axis=0).min(axis=0, initial=np.inf)  # another point than its own
        steps = np.linspace(0.2, 1, 8)[:, None, None]  # along the line from the point to its label
        line = (points[i] + steps * (ends[i] - points[i])).reshape(-1, 2)
        theirs = np.clip(points[others], labels[:, :2], labels[:, 2:])
        hidden = overlap(np.hstack([line - 1, line + 1]), taken) > 0
        mine = np.broadcast_to(points[i], ends[i].shape)
        return (outside[i] + LABEL * (overlap(boxes, labels) > 0).sum(axis=1)
                + MARK * overlap(boxes, taken).sum(axis=1) / gap**2
                + TOUCH * (overlap(boxes, taken) > 0).sum(axis=1)
                + CROSS * crossed(points[others], theirs, boxes).sum(axis=0)
                + CROSS * crossed(mine, ends[i], labels).sum(axis=1)
                + LEADER * hidden.any(axis=1).reshape(8, -1).sum(axis=0) * (around[:, 2] > DISTANCES[1])
                + OTHER * np.clip(1.5 - nearest / (away[i] + 1e-9), 0, 1) + FAR * around[:, 2])

    for _ in range(10):
        before = centres.copy()
        for i in np.lexsort(points.T[::-1]):
            centres[i] = candidates[i, int(np.argmin(cost(i)))]
        if np.array_equal(before, centres):
            break
    return centres
