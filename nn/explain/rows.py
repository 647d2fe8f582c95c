"""A computation drawn as rows, one an operation, in their order: what it takes hangs at the left of its mark,
values run down the spine or, past other rows, in arcs beside it, and bytes are bars at the right.

The same drawing serves a graph that backward will walk (graph.py) and a Program (compress/explain).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from . import canvas
from .canvas import FAINT, FONT, INK, PAPER, SAND, SMALL, TEAL, TITLE, WIDE, in_points, shortened

TEXT, DETAIL = 50, 80     # characters of a line at most
LINE, LEAF = 21, 17       # heights of a line of text and of what hangs at the left, in points
LANE, BARS = 13, 150      # between two arcs; the longest bar
MARK = 6                  # half of a mark


class Fill(NamedTuple):
    """How a mark is filled: with a colour, and whether only by half."""

    colour: str
    half: bool = False


EMPTY = Fill(PAPER)


class Leaf(NamedTuple):
    """What a row takes that no row makes, a square at its left: a parameter, a constant."""

    text: str
    fill: Fill = EMPTY


@dataclass(frozen=True)
class Row:
    """An operation. text: in the font for code; detail: below, smaller; beside: at the right, before the bar;
    size: the length of the bar, and `said` what stands at its end; fill: of the mark; colour: of the bar;
    over: it is faded; gone: its bar is only outlined; lit: it is what happens now."""

    text: str
    detail: str = ""
    beside: str = ""
    leaves: tuple[Leaf, ...] = ()
    size: float = 0
    said: str | None = None
    fill: Fill = EMPTY
    colour: str = TEAL
    over: bool = False
    gone: bool = False
    lit: bool = False

    @property
    def label(self) -> str:
        """What stands at the end of its bar."""
        return canvas.bytes_said(self.size) if self.said is None else self.said

    @property
    def height(self) -> float:
        """In points, with the room to the next."""
        return max(LINE * (1 + bool(self.detail)), LEAF * len(self.leaves)) + 8


def draw_rows(who: str, rows: Sequence[Row], edges: Sequence[tuple[int, int]], ax: Any = None,
              title: str = "", heads: tuple[str, str] = ("", ""),
              legend: Sequence[tuple[str, Fill]] = ()) -> Any:
    """Draw rows, and the edges between them, each (from, to) with from < to; returns the Axes. heads: of what
    stands beside a row, and of the bars. legend: what fills mean. Raises as canvas.axes."""
    lanes = _lanes(edges)
    at = {"leaf": WIDE * SMALL * max((len(leaf.text) for row in rows for leaf in row.leaves), default=0)}
    at["spine"] = at["leaf"] + 24 + LANE * (1 + max(lanes.values(), default=0))
    at["text"] = at["spine"] + 16
    wide = max(max(WIDE * FONT * min(len(row.text), TEXT), WIDE * SMALL * min(len(row.detail), DETAIL))
               for row in rows)
    at["beside"] = at["text"] + wide + 16
    at["bar"] = at["beside"] + WIDE * SMALL * max(len(heads[0]), *(len(row.beside) for row in rows)) + 16
    top, middles = 2.2 * TITLE + 2 * SMALL, []
    for row in rows:
        middles.append(top + row.height / 2)
        top += row.height
    longest = max((row.size for row in rows), default=0) or 1
    ends = [BARS * row.size / longest + 10 + WIDE * SMALL * len(row.label) for row in rows if row.size]
    ax, scale = in_points(who, ax, max(at["bar"] + max(ends, default=0), canvas.titled(title)), top)
    head = {"fontsize": SMALL * scale, "color": "#555555", "va": "center"}
    ax.text(0, 0.7 * TITLE, title, fontsize=TITLE * scale, color=INK, va="center")
    ax.text(at["beside"], 2.2 * TITLE, heads[0], **head)
    ax.text(at["bar"], 2.2 * TITLE, heads[1], **head)
    x = 8.0
    for text, fill in legend:
        _mark(ax, "o", x, 2.2 * TITLE, fill, INK, 2 * MARK * scale)
        ax.text(x + 12, 2.2 * TITLE, text, **head)
        x += 36 + 0.55 * SMALL * len(text)
    for (first, last), lane in lanes.items():
        _edge(ax, at["spine"], middles[first], middles[last], lane, rows[last].over, scale)
    for row, middle in zip(rows, middles, strict=True):
        _row(ax, row, middle, at, longest, scale)
    return ax


def _lanes(edges: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """For each edge its lane beside the spine, 0 from one row to the next: short ones lie inside of long
    ones, and no two that overlap share one."""
    lanes: dict[tuple[int, int], int] = {}
    for first, last in sorted(set(edges), key=lambda edge: (edge[1] - edge[0], edge)):
        taken = {lanes[a, b] for a, b in lanes if a < last and first < b}
        lanes[first, last] = 0 if last == first + 1 else min({*range(1, len(edges) + 2)} - taken)
    return lanes


def _edge(ax: Any, x: float, above: float, below: float, lane: int, faded: bool, scale: float) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    out, bend = x - LANE * lane, min(26.0, (below - above) / 2)
    points = [(x, above), (out, above), (out, above + bend), (out, below - bend), (out, below), (x, below)]
    codes = [Path.MOVETO, Path.CURVE3, Path.CURVE3, Path.LINETO, Path.CURVE3, Path.CURVE3]
    if not lane:
        points, codes = [(x, above), (x, below)], [Path.MOVETO, Path.LINETO]
    ax.add_patch(PathPatch(Path(points, codes), fill=False, edgecolor=FAINT if faded else INK,
                           linewidth=1.6 * scale, linestyle=":" if faded else "-", zorder=1))


def _row(ax: Any, row: Row, middle: float, at: dict[str, float], longest: float, scale: float) -> None:
    ink = FAINT if row.over and not row.lit else INK
    code = {"family": "DejaVu Sans Mono", "va": "center", "color": ink}
    if row.lit:
        ax.axhspan(middle - row.height / 2 + 1, middle + row.height / 2 - 1, color=SAND, alpha=0.45, lw=0)
    for i, leaf in enumerate(row.leaves):
        y = middle + LEAF * (i - (len(row.leaves) - 1) / 2)
        ax.plot([at["leaf"] + 10, at["spine"]], [y, middle], color=ink, linewidth=1.1 * scale, zorder=1)
        ax.text(at["leaf"], y, leaf.text, ha="right", fontsize=SMALL * scale, **code)
        _mark(ax, "s", at["leaf"] + 10, y, leaf.fill, ink, 1.4 * MARK * scale)
    _mark(ax, "o", at["spine"], middle, row.fill, ink, 2 * MARK * scale)
    line = LINE / 2 - 1 if row.detail else 0
    ax.text(at["text"], middle - line, shortened(row.text, TEXT), fontsize=FONT * scale, **code)
    ax.text(at["text"], middle + line, shortened(row.detail, DETAIL), fontsize=SMALL * scale,
            **{**code, "color": FAINT if row.over and not row.lit else "#444444"})
    ax.text(at["beside"], middle, row.beside, fontsize=SMALL * scale, **code)
    if row.size:
        long = BARS * row.size / longest
        look = {"facecolor": "none", "linestyle": ":"} if row.gone else {"facecolor": row.colour}
        ax.barh(middle, long, 13, at["bar"], edgecolor=ink, linewidth=0.8 * scale, **look)
        ax.text(at["bar"] + long + 5, middle, row.label, fontsize=SMALL * scale, va="center", color=ink)


def _mark(ax: Any, shape: str, x: float, y: float, fill: Fill, edge: str, size: float) -> None:
    ax.plot([x], [y], shape, markersize=size, markerfacecolor=fill.colour, markerfacecoloralt=PAPER,
            fillstyle="left" if fill.half else "full", markeredgecolor=edge, markeredgewidth=1.5, zorder=3)
