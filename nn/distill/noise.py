"""Wrong labels, for experiments with teachers: Ba & Caruana (2014, "Do deep nets really need to be deep?",
§5.1) find that a teacher removes a part of the noise that it was itself trained on."""

from __future__ import annotations

import numpy as np

from ..arguments import count, instance, number


def wrong_labels(y: np.ndarray, share: float, classes: int, rng: np.random.Generator) -> np.ndarray:
    """A copy of the classes y (N,), of which round(share · N) are wrong: each is any of the other `classes`,
    all as likely. rng: draws which, and what they become. Raises TypeError or ValueError for a share outside
    [0, 1], fewer than two classes or more than y's dtype can count, and labels that are not among them."""
    share = number("wrong_labels", "share", share, 0, 1, closed=True)
    count("wrong_labels", "classes", classes, 2)
    instance("wrong_labels", "rng", rng, np.random.Generator, "a numpy.random.Generator")
    if not isinstance(y, np.ndarray) or y.dtype.kind not in "iu" or y.ndim != 1:
        raise TypeError(f"wrong_labels: y must be integer classes (N,), got {getattr(y, 'dtype', type(y))}")
    if len(y) and not 0 <= y.min() <= y.max() < classes:
        raise ValueError(f"wrong_labels: y must be in 0..{classes - 1}, got {y.min()}..{y.max()}")
    if classes - 1 > np.iinfo(y.dtype).max:
        raise ValueError(f"wrong_labels: y is {y.dtype}, which has no label {classes - 1}, and classes is "
                         f"{classes}")
    rows = rng.choice(len(y), round(share * len(y)), replace=False)
    changed = y.copy()
    changed[rows] = (y[rows] + rng.integers(1, classes, len(rows))) % classes
    return changed
