"""What several operations ask of their inputs."""


def floats(op, x):
    """Raise TypeError unless x is of floats."""
    if x.dtype.kind != "f":
        raise TypeError(f"{op}: the input is {x.dtype}; convert it to a floating-point dtype first")


def integers(op, what, x):
    """Raise TypeError unless x is of integers."""
    if x.dtype.kind not in "iu":
        raise TypeError(f"{op}: {what} {x.dtype}, wanted integers")


def classes_fit(op, classes, logits):
    """Raise TypeError or ValueError unless `classes` are integers that count the axis 1 (or 0) of logits."""
    integers(op, "classes are", classes)
    c = logits.shape[min(logits.ndim - 1, 1)]
    if classes.size and not 0 <= classes.min() <= classes.max() < c:
        raise ValueError(f"{op}: classes from {classes.min()} to {classes.max()} came, but logits of shape "
                         f"{logits.shape} know 0 to {c - 1}")


def shape_is(op, shape, of, **arrays):
    """Raise ValueError unless arrays, if they are not None, have this shape. of: the shape of the input."""
    for name, array in arrays.items():
        if array is not None and array.shape != shape:
            raise ValueError(f"{op}: {name} has shape {array.shape}, wanted {shape} for an input of shape "
                             f"{of}")


def one_of(op, name, value, names, *others):
    """`value`, if it is one of the names; ValueError for any other. others: what else the message offers."""
    if not isinstance(value, str) or value not in names:
        *first, last = *map(repr, names), *others
        raise ValueError(f"{op}: {name} is {value!r}, wanted {', '.join(first)} or {last}")
    return value
