"""Mini-batches in an order that a Generator decides."""

from collections.abc import Callable, Iterator

import numpy as np

from ..arguments import count, flag, instance

Batch = tuple[np.ndarray, np.ndarray]
Augmentation = Callable[[np.ndarray, np.ndarray, np.random.Generator], Batch]


def batches(x: np.ndarray, y: np.ndarray, size: int, rng: np.random.Generator,
            shuffle: bool = True) -> Iterator[Batch]:
    """Pairs (x[rows], y[rows]) of `size` rows that pass once over the data; the last pair may be shorter.

    It is kept, since dropping it would hide the same rows from every unshuffled pass; so weight a mean over
    batches by their sizes. shuffle: whether the rows come in a random order, drawn from rng, or as they are.
    Raises: TypeError for x, y or rng of another type; ValueError for no or unequal numbers of rows, size < 1.
    """
    for name, array in (("x", x), ("y", y)):
        instance("batches", name, array, np.ndarray, "a NumPy array")
    instance("batches", "rng", rng, np.random.Generator, "a numpy.random.Generator")
    count("batches", "size", size)
    flag("batches", "shuffle", shuffle)
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y) or len(x) == 0:
        raise ValueError(f"batches: x and y must have equally many rows (> 0), got {x.shape} and {y.shape}")
    return ((x[rows], y[rows]) for rows in rows_of_batches(len(x), size, rng, shuffle))


def changed(who: str, name: str, change: Augmentation, x: np.ndarray, y: np.ndarray,
            rng: np.random.Generator) -> Batch:
    """What `change`, the argument `name` of `who`, makes of a batch. Raises TypeError if that is no pair of
    arrays."""
    made = change(x, y, rng)
    if not isinstance(made, tuple) or len(made) != 2 or not all(isinstance(a, np.ndarray) for a in made):
        raise TypeError(f"{who}: {name} must return two arrays (x, y), got {type(made).__name__}")
    return made


def rows_of_batches(n: int, size: int, rng: np.random.Generator, shuffle: bool = True) -> list[np.ndarray]:
    """Which of n rows are in each batch: what `batches` takes."""
    order = rng.permutation(n) if shuffle else np.arange(n)
    return np.split(order, range(size, n, size))
