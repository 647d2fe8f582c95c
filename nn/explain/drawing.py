"""The graph of a tensor, drawn: what backward will walk, from the last row up."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import NoneType
from typing import Any

from ..arguments import Tensor
from ..operation import Operation
from .canvas import bytes_said
from .rows import EMPTY, Fill, Leaf, Row, draw_rows
from .text import Recorded, held_by, recorded

MOST = 24    # operations that are drawn: the last ones, which backward meets first


def graph(output: Tensor, ax: Any = None, names: Mapping[str, Tensor] | None = None) -> Any:
    """Draw the graph behind `output`; returns the Axes of matplotlib.

    A row is an operation, in the order of the computation, with its formula, the shape of its result, and, as
    a bar, the bytes that it alone keeps for backward. A square is a tensor that requires grad. What needs no
    gradient is “·”. Of a long graph the last 24 operations are drawn. ax: Axes to draw in; new ones, if
    left out. names: of the leaves, such as dict(model.named_parameters()), or the model itself.
    Raises TypeError for what is no Tensor, ValueError for a tensor that no graph is behind,
    ModuleNotFoundError without matplotlib.
    """
    found = recorded("explain.graph", output, names)
    freed = " (freed)" * any(line.own is None for line in found.lines)
    kept = f"{bytes_said(sum(line.kept for line in found.lines))} kept for backward{freed}"
    return draw("explain.graph", found, f"{count(len(found.lines), 'operation')}, {kept}", rows_of(found), ax)


def draw(who: str, found: Recorded, title: str, rows: Sequence[Row], ax: Any, legend: Sequence = ()) -> Any:
    """Draw the rows of a graph, with its edges."""
    shown = found.lines[-MOST:]
    if len(shown) < len(found.lines):
        title += f"; the last {MOST} of them"
    place = {line.operation: i for i, line in enumerate(shown)}
    edges = [(place[parent], i) for i, line in enumerate(shown) for parent in line.parents if parent in place]
    return draw_rows(who, rows, edges, ax, title, ("shape", "kept for backward"), legend)


def rows_of(found: Recorded, fills: Mapping[Any, Fill] | None = None,
            done: Collection[Operation] = (), lit: Operation | None = None) -> list[Row]:
    """A row for each operation that is shown. fills: of the marks of operations and leaves; done: those that
    backward has been through; lit: where it is."""
    fills, rows, held = fills or {}, [], set()
    for line in found.lines:
        if line.operation not in done and line.own is not None:
            held |= held_by(line.operation).keys()
    for line in found.lines[-MOST:]:
        one = line.operation
        leaves = [leaf for leaf in dict.fromkeys(line.parents) if type(leaf) not in (Operation, NoneType)]
        drawn = tuple(Leaf(f"{found.names[leaf]} {shape_said(leaf.shape)}", fills.get(leaf, EMPTY))
                      for leaf in leaves)
        still = sum(size for key, size in (line.own or {}).items() if key in held)
        said = bytes_said(line.kept) + ("" if still == line.kept else " freed" if not still else
                                        f", {bytes_said(still)} held")
        rows.append(Row(f"{line.name} = {line.call}", one.rule.formula, shape_said(one.shape), drawn,
                        line.kept, said, fills.get(one, EMPTY), over=one in done or line.own is None,
                        gone=not still, lit=one is lit))
    return rows


def shape_said(shape: tuple[int, ...]) -> str:
    """A shape as people write it: 4×3; of a scalar, "scalar"."""
    return "×".join(map(str, shape)) or "scalar"


def count(number: int, what: str) -> str:
    """So many of something."""
    return f"{number:,} {what}{'s' * (number != 1)}"
