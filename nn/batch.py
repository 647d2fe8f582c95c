"""That a trace holds for any batch, and for any length of the other named dimensions.

A Program runs each row of a batch as if it were alone. So a trace may hold only what does the same whatever
the lengths, and in every value each row must be made of that row alone. Two looks:
  1. `merged`: the records at several lengths are the same, but for lengths that are Sizes.
  2. `rows_stay_apart`: the axes of each operation (axes.py) carry the rows from the inputs to the outputs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import numpy as np

from .axes import axes, primes
from .sizes import Size, length_of, names_in
from .tensor import TraceError

BATCH = Size("N")  # how many rows there are
SHAPING = {"reshape", "expand", "index"}  # what may be told the size of the batch: it is a length there
Points = Sequence[Mapping[str, int]]  # how long each named dimension was, in each record


def refused(node: Any, why: str) -> TraceError:
    """The error that names a node's operation and module."""
    where = f" in module {node.module!r}" if node.module else ""
    return TraceError(f"trace: {node.op}{where}: {why}")


def merged(records: Sequence[tuple[list[Any], dict[str, np.ndarray]]], points: Points) -> list[Any]:
    """The nodes of the first of several records, with Sizes for the lengths that are others in other records.

    records: at each point, the nodes and the constants. A reshape gets -1 for its length if only one moves.
    Raises TraceError with the first operation that depends on the lengths in any other way.
    """
    nodes = []
    for twins in zip_longest(*(nodes for nodes, _ in records)):
        if which := _first_other([twin and (twin.op, twin.inputs) for twin in twins]):
            raise _unlike(twins[0] or twins[which], "what is done depends on lengths or on values",
                          ["nothing" if twin is None else twin.op for twin in twins], points, which)
        node = twins[0]
        for name in node.inputs:
            values = [constants.get(name) for _, constants in records]
            if which := _first_other(values):
                raise _unlike(node, f"it reads the constant {name!r}, which depends on lengths or on values",
                              values, points, which)
        why = "it mixes the rows of a batch, or drops some, or cuts up a length that moves: it makes"
        shape = _symbolic(node, why, [twin.shape for twin in twins], points)
        if node.op == "reshape":
            alone = len([n for n in shape if isinstance(n, Size)]) == 1 and 0 not in shape
            attrs = {"shape": tuple(-1 if alone and isinstance(n, Size) else n for n in shape)}
        else:
            why, every = "what it does depends on a length that moves", [twin.attrs for twin in twins]
            attrs = _symbolic(node, why, every, points)
            if "N" in names_in(attrs) and node.op not in SHAPING:
                raise _unlike(node, why, every, points, 1)
        nodes.append(replace(node, shape=shape, attrs=attrs))
    return nodes


def _symbolic(node: Any, why: str, values: list[Any], points: Points) -> Any:
    """One shape or one dict of attributes for all points. Raises TraceError if there is none."""
    for names in (*([name] for name in points[0]), [*points[0]]):  # one by one, for an error that says which
        some = [i for i, point in enumerate(points)
                if all(n == points[0][name] for name, n in point.items() if name not in names)]
        try:
            found = _through([values[i] for i in some], [{n: points[i][n] for n in names} for i in some])
        except LookupError:
            raise _unlike(node, why, values, points, some[-1]) from None
    return found


def _through(values: Sequence[Any], points: Points) -> Any:
    """The length, or what has lengths in it, that goes through these values. LookupError if there is none."""
    first = values[0]
    if {type(value) for value in values} == {type(first)}:
        if isinstance(first, dict) and all(value.keys() == first.keys() for value in values):
            return {key: _through([value[key] for value in values], points) for key in first}
        if isinstance(first, (tuple, list)) and {len(value) for value in values} == {len(first)}:
            return type(first)(_through(parts, points) for parts in zip(*values, strict=True))
        if isinstance(first, slice):
            return slice(*_through([(value.start, value.stop, value.step) for value in values], points))
        if isinstance(first, (int, np.integer)) and _first_other(values):
            size = length_of(values, points)
            if size is not None and ("N" not in names_in(size) or all("N" in term for term in size.terms)):
                return size
    if isinstance(first, (dict, tuple, list)) or _first_other(values):
        raise LookupError
    return first


def _unlike(node: Any, why: str, values: Sequence[Any], points: Points, which: int) -> TraceError:
    """The error of a node that does not do the same at the first point and another: what, at what lengths."""
    names = [name for name in points[0] if points[0][name] != points[which][name]]
    said = []
    for value, point in ((values[0], points[0]), (values[which], points[which])):
        what = "an array" if isinstance(value, np.ndarray) and value.ndim else value
        said.append(f"{what} with {', '.join(f'{name} = {point[name]}' for name in names) or 'other inputs'}")
    fixed = "" if BATCH in names or not names else "; a length that dims does not name is fixed"
    return refused(node, f"{why}: {' and '.join(said)}{fixed}")


def _first_other(values: Sequence[Any]) -> int:
    """The place of the first value that is not as the value at 0, arrays to the bit; 0 if there is none."""
    return next((i for i, value in enumerate(values) if not _same(values[0], value)), 0)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        same = one.shape == other.shape and one.dtype == other.dtype
        return one is other or (same and one.tobytes() == other.tobytes())
    return one is other or (type(one) is type(other) and bool(one == other or one != one))


def rows_stay_apart(graph: Any) -> None:
    """Follow the batch through a graph; TraceError with the first operation in which one row touches another.
    An axis along which rows lie is before·N·behind long: a reshape of (5, N, 2) makes one of 10·N. What comes
    together in an operation must have them at one place, in these three senses."""
    rows = {name: (value.shape.index(BATCH), 1, 1)
            for name, value in graph.inputs.items() if BATCH in value.shape}
    wanted = set(rows.values())
    for node in graph.nodes:
        shapes = [None if name is None else graph.value(name).shape for name in node.inputs]
        try:
            inputs = list(zip(node.inputs, shapes, axes(node, shapes), strict=True))
        except KeyError:
            raise refused(node, "nothing is known of its axes; wanted `axes` in its Rule") from None
        along = [axis for axis, n in enumerate(node.shape) if "N" in names_in(n)]
        places = {_moved(node, shape, rows[name], made) for name, shape, made in inputs if name in rows}
        if not places and along:  # an expand: all rows are equal, and lie in any order
            (length,), (n,) = primes((node.shape[along[0]],), (BATCH,))
            places = {(along[0], 1, length // n)}
        if len(places) > 1 or None in places or [place[0] for place in places] != along:
            raise refused(node, "it mixes the rows of a batch: what it makes of one depends on another")
        for name, shape, made in inputs:
            lengths = zip(made, shape or (), strict=True)
            if name not in rows and any(j in along and n != 1 for j, n in lengths):
                raise refused(node, "what it makes of a row depends on the row's place in the batch")
        if places:
            rows[node.output] = places.pop()
    for name in graph.outputs.values():
        if name in rows and rows[name] not in wanted:
            node = graph.producer(name)
            raise refused(node, f"the output must be (N, …), as the input is; it is {node.shape}")


def _moved(node: Any, shape: tuple, place: tuple[int, int, int], made: tuple) -> tuple[int, int, int] | None:
    """Where the rows lie in the output that lay at this place in an input; None where they are mixed."""
    axis, before, behind = place
    if node.op != "reshape":
        return None if made[axis] is None else (made[axis], before, behind)
    shape, after, (n,) = primes(shape, node.shape, (BATCH,))
    before *= math.prod(shape[:axis])  # rows lie so far apart in memory order, whatever the shape
    for j, length in enumerate(after):
        inside, rest = divmod(before, math.prod(after[:j]))
        if not rest and inside and not length % (inside * n):
            return j, inside, length // (inside * n)
    return None
