"""Orders of axes: axis layout[i] of a value is axis i of the array in which it lies."""

Layout = tuple[int, ...]
CHANNELS_LAST = (0, 2, 3, 1)  # of images N, C, H, W: how kernels want them


def identity(rank: int) -> Layout:
    """The axes as the Graph has them."""
    return tuple(range(rank))


def moves_nothing(shape: tuple, axes: Layout) -> bool:
    """Whether a permute leaves all numbers where they lie: it moves axes of length 1 only."""
    long = [axis for axis in axes if shape[axis] != 1]
    return long == sorted(long)
