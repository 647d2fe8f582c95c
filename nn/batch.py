"""That a trace holds for a batch of any size: what is traced is traced again with other batches.

A Program runs each row of a batch as if it were alone. So a trace may hold only what does the same whatever
the batch: the same operations for every number of rows, and in every value each row made of that row alone.

Three looks, from outside, at records and numbers:
  1. The records of batches of several sizes are the same, but for one length of each shape, which is k·N.
  2. Another row in the place of one, or a row of NaN, changes to the bit only what is made of that one.
  3. Rows that change places take what is made of them along.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest
from typing import Any

import numpy as np

from .tensor import TraceError

__all__ = ["SIZES", "batched", "refused", "rows_stay_apart"]

SIZES = (1, 2, 5)  # of the batches that are traced beside the one that is given


def refused(node: Any, why: str) -> TraceError:
    """The error that names a node's operation and module."""
    where = f" in module {node.module!r}" if node.module else ""
    return TraceError(f"trace: {node.op}{where}: {why}")


def batched(
    records: dict[int, tuple[list[Any], dict[str, np.ndarray]]], start: str, ndim: int
) -> tuple[list, dict]:
    """The nodes of the first of several records, true for a batch of any size, and each value's batch axis.

    `records` has, for each number of rows, the nodes that lead from the value `start`, of `ndim` axes, to the
    output and the constants they read. A reshape gets -1 for the length that the batch is in. Returns the
    nodes and, for each value that comes from `start`, (axis, k): that axis is k·N long. Raises TraceError
    with the first operation that depends on the size of the batch, or loses it.
    """
    sizes = list(records)
    lists = [nodes for nodes, _ in records.values()]
    axes: dict[str, tuple[int, int]] = {start: (0, 1)}
    ndims = {start: ndim}
    found = []
    for twins in zip_longest(*lists):
        node = _same_operation(twins, sizes)
        for name in node.inputs:
            if not _all_equal([constants.get(name) for _, constants in records.values()]):
                raise refused(node, f"it reads the constant {name!r}, which is not the same for every batch")
        if axes.keys() & set(node.inputs):
            axes[node.output] = _batch_axis(node, [twin.shape for twin in twins], sizes)
        if node.op == "reshape":
            axis, _ = axes.get(node.output, (None, 0))
            shape = tuple(-1 if i == axis else length for i, length in enumerate(node.shape))
            node = replace(node, attrs={"shape": shape})
        elif not _all_equal([twin.attrs for twin in twins]):
            raise refused(node, f"what it does depends on the size of the batch, {_rows(*sizes)}")
        _check_index(node, axes, ndims)
        ndims[node.output] = len(node.shape)
        found.append(node)
    return found, axes


def _same_operation(twins: tuple[Any, ...], sizes: list[int]) -> Any:
    """The first of these nodes, if batches of all sizes have one here and it does the same."""
    first = twins[0]
    for twin, n in zip(twins[1:], sizes[1:], strict=True):
        if twin is first is None:
            continue
        if first is None or twin is None or (twin.op, twin.inputs) != (first.op, first.inputs):
            ops = ["nothing" if node is None else node.op for node in (first, twin)]
            raise refused(first or twin, f"what is done depends on the size of the batch: {ops[0]} here with "
                                         f"{_rows(sizes[0])}, {ops[1]} with {_rows(n)}")
    return first


def _rows(*sizes: int) -> str:
    return " or ".join(map(str, sizes)) + (" row" if sizes == (1,) else " rows")


def _batch_axis(node: Any, shapes: list[tuple[int, ...]], sizes: list[int]) -> tuple[int, int]:
    """Which length of an output is k·N, and k; all others are the same for any N."""
    found = []
    if len({len(shape) for shape in shapes}) == 1:
        for axis, lengths in enumerate(zip(*shapes, strict=True)):
            k, rest = divmod(lengths[0], sizes[0])
            if not rest and k and all(length == k * n for length, n in zip(lengths, sizes, strict=True)):
                found.append((axis, k))
            elif len(set(lengths)) > 1:
                found += [(-1, 0), (-1, 0)]  # neither fixed nor k·N
    if len(found) != 1:
        made = " and ".join(f"{shapes[i]} of {_rows(sizes[i])}" for i in range(2))
        raise refused(node, f"it mixes the rows of a batch, or drops some: it makes {made}")
    return found[0]


def _check_index(node: Any, axes: dict[str, tuple[int, int]], ndims: dict[str, int]) -> None:
    """A slice of the batch that takes all of a small one does not take all of every one."""
    axis = axes.get(node.inputs[0], (None, 0))[0]
    if node.op != "index" or axis is None:
        return
    index = node.attrs["index"]
    taken = [i for i in index if i is not None]  # a part for each axis; ... stands for those that are left
    if any(i is Ellipsis for i in taken):
        at = next(k for k, i in enumerate(taken) if i is Ellipsis)
        rest = ndims[node.inputs[0]] - sum(getattr(i, "ndim", 1) if _is_mask(i) else 1 for i in taken) + 1
        taken[at : at + 1] = [slice(None)] * rest
    cut = taken[axis] if len(taken) > axis else None
    if isinstance(cut, slice) and (cut.start or 0, cut.stop) != (0, None):
        raise refused(node, f"it cuts rows out of a batch, {cut.start}:{cut.stop}")


def _is_mask(part: Any) -> bool:
    """Whether a part of an index is an array of booleans, which takes as many axes as it has."""
    return getattr(getattr(part, "dtype", None), "kind", "") == "b"


def _all_equal(values: list[Any]) -> bool:
    return all(_equal(values[0], value) for value in values[1:])


def _equal(one: Any, other: Any) -> bool:
    """Whether two attributes are the same, arrays in them to the bit."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return (one.shape, one.dtype) == (other.shape, other.dtype) and one.tobytes() == other.tobytes()
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_equal, one, other))
    return one == other or one != one


def rows_stay_apart(graph: Any, axes: dict[str, tuple[int, int]], example: np.ndarray) -> None:
    """Run a graph on batches of two rows; TraceError with the first operation in which one touches the other.

    In a value whose batch axis is k·N long, k > 1, the rows may lie in any order, but not in one another.
    """
    rng = np.random.default_rng(0)
    shape = (2, *example.shape[1:])
    if example.dtype.kind == "f":
        x, other = rng.random((2, *shape)).astype(example.dtype)
        strangers = [other, np.full_like(other, np.nan)]
    else:  # only integers that the network is known to take, each in its own place if there are several
        x, other = (np.take_along_axis(example, rng.integers(len(example), size=shape), 0) for _ in range(2))
        if np.array_equal(x, other) or np.array_equal(x[0], x[1]):
            values = np.unique(example) if np.ptp(example) else np.arange(2)
            x, other = rng.choice(values.astype(example.dtype), (2, *shape))
        strangers = [other]
    try:
        with np.errstate(all="ignore"):
            before, swapped = _values(graph, x), _values(graph, x[::-1])
            pairs = [
                [_values(graph, np.stack(rows)) for rows in ((strange[0], x[1]), (x[0], strange[1]))]
                for strange in strangers
            ]
    except (ValueError, TypeError, IndexError):
        return  # a forward that does not take such numbers, say because they are to be indices
    for node in graph.nodes:
        if node.output not in axes:
            continue
        axis, k = axes[node.output]
        was = before[node.output]
        for pair in pairs:
            changed = [_differ(values[node.output], was) for values in pair]
            beyond = k == 1 and any(np.take(changed[i], 1 - i, axis).any() for i in range(2))
            if beyond or np.any(changed[0] & changed[1]):
                raise refused(node, "it mixes the rows of a batch: what it makes of one depends on another")
        if k == 1 and not _close(np.flip(swapped[node.output], axis), was):
            raise refused(node, "what it makes of a row depends on the row's place in the batch")


def _differ(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Where two arrays are not the same; NaN is the same as NaN."""
    return (one != other) & ((one == one) | (other == other))


def _values(graph: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    values: dict[str, np.ndarray] = {}
    graph.run(x, lambda name, array: values.setdefault(name, array.copy()))
    return values


def _close(one: np.ndarray, other: np.ndarray) -> bool:
    """Equal but for rounding, which may differ from row to row of a product, and may turn a comparison."""
    if one.dtype.kind != "f":
        return True
    size = float(np.max(np.abs(other[np.isfinite(other)]), initial=0))
    return np.allclose(one, other, rtol=1e-3, atol=1e-3 * size, equal_nan=True)
