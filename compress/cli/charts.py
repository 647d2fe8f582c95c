"""The charts of the ledger: its metric against bytes and against milliseconds, bytes of each layer. They need
the extra `plot`.

Every technique has a colour of its own, of those that Tol (2021, "muted") chose so that colour-blind people
can tell them apart, a marker of its own, and its name beside it: a print without colour says the same. (With
--all, pairs of a colour and a marker.)"""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nn.files import write_bytes

from .layer_chart import layer_bytes
from .ledger import Ledger, Row
from .metric import Metric
from .placing import apart, place
from .rows import EVERY
from .techniques import NETWORKS, Technique

COLOURS = ("#332288", "#CC6677", "#117733", "#88CCEE", "#882255", "#44AA99", "#999933", "#AA4499")
MARKERS = "osD^vPXp*h<>d"  # 13, as many pairs with 8 colours as there can be
INK, FAINT = "#222222", "#8a8a8a"
SIZE = 11  # of a mark, in points
MOST = 30  # rows that have room in one chart
STYLE = {"font.size": 13, "axes.titlesize": 17, "axes.labelsize": 15, "axes.edgecolor": INK,
         "text.color": INK, "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 1.2,
         "figure.dpi": 150, "font.family": "DejaVu Sans"}
CHARTS: tuple[tuple[str, str, str, Callable[[Row], float]], ...] = (
    ("bytes", "size of the file", " kB", lambda row: row.disk / 1000),
    ("milliseconds", "time of 256 {examples}, one thread", " ms", lambda row: row.milliseconds))


def draw(ledger: Ledger, out: Path) -> dict[str, bytes]:
    """Write a PNG for each chart to `out`; returns their bytes by file name, nothing without matplotlib."""
    try:
        from matplotlib import rc_context
    except ModuleNotFoundError:
        return {}
    pictures = {}
    with rc_context(STYLE):
        for name, figure in figures(ledger).items():
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png", dpi="figure")
            pictures[f"{name}.png"] = buffer.getvalue()
            write_bytes(out / f"{name}.png", buffer.getvalue())
    return pictures


def figures(ledger: Ledger) -> dict[str, Any]:
    """The charts as figures of matplotlib, by name; for the way they are meant to look, within STYLE."""
    metric = ledger.metric
    scores = {f"{metric.slug}-{name}": _scores(ledger, label.format(examples=metric.examples), *chart)
              for name, label, *chart in CHARTS}
    return scores | {"layer-bytes": layer_bytes(ledger)}


def _scores(ledger: Ledger, label: str, unit: str, value: Callable[[Row], float]) -> Any:
    from matplotlib.figure import Figure

    every = ledger.rows
    if len(every) > MOST:
        ledger = replace(ledger, rows=tuple(row for row in every if not _technique(row).more))
    networks = list(dict.fromkeys(row.network for row in ledger.rows))
    figure = Figure(figsize=(7 * len(networks), 7.4), layout="constrained")
    panels = {}
    for i, network in enumerate(networks):
        axes = figure.add_subplot(1, len(networks), i + 1, title=NETWORKS[network].build.__name__)
        panels[network] = (axes, [row for row in ledger.rows if row.network == network])
        _frame(axes, panels[network][1], value, unit, ledger.metric)
        axes.set_xlabel(label)
    figure.supylabel(f"{ledger.metric.name} on test {ledger.metric.examples}", fontsize=15)
    keys = ["hollow: dense network of the same bytes and training, tied to its row"]
    if len(ledger.seeds) > 1:
        keys.append(f"bars: least and largest of {len(ledger.seeds)} seeds")
    if len(ledger.rows) < len(every):
        keys.append("rows of --all: only in the table")
    key = ("\n" if len(networks) == 1 else "     ").join(keys)  # one panel is too narrow for all in a line
    figure.supxlabel(key, fontsize=12, color="#555555")
    figure.draw_without_rendering()  # lays the panels out: from here on pixels are known
    figure.set_layout_engine("none")
    for axes, rows in panels.values():
        _marks(axes, rows, value, ledger.metric.scale)
    return figure


def _frame(axes: Any, rows: list[Row], value: Callable[[Row], float], unit: str, metric: Metric) -> None:
    """Axes wide enough for the rows and their names, with ticks that people read."""
    x = np.array([value(row) for row in rows])
    y = metric.scale * np.array([score for row in rows for score in row.scores])
    room = 0.18 * max(y.max() - y.min(), 3.3 * metric.scale * metric.tolerance)
    wide = 0.14 * max(np.log(x.max() / x.min()), 0.7)
    axes.set_xscale("log")
    axes.set_xlim(x.min() * np.exp(-2.4 * wide), x.max() * np.exp(wide))
    axes.set_ylim(y.min() - room, y.max() + room)
    axes.set_xticks(ticks(*axes.get_xlim()))
    axes.set_xticks([], minor=True)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}{unit}")
    axes.yaxis.set_major_formatter(lambda y, _: metric.tick(y))
    axes.grid(alpha=0.3, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.axhline(metric.scale * rows[0].score, color=FAINT, linewidth=1.2, linestyle=":", zorder=1)


def ticks(low: float, high: float) -> list[float]:
    """At least four round numbers from low to high where there are, on a log scale, as few as that allows."""
    for digits in ((1,), (1, 2, 5), (1, 2, 3, 5), (1, 1.5, 2, 3, 4, 6), (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)):
        ticks = [round(d * 10.0**e, 9) for e in range(-6, 10) for d in digits if low <= d * 10.0**e <= high]
        if len(ticks) >= 4:
            break
    return ticks


def _marks(axes: Any, rows: list[Row], value: Callable[[Row], float], scale: float) -> None:
    """A mark a row with its name beside it. A dense control has the hollow mark of the row that it belongs
    to, and a line to it; marks that would hide each other stand side by side."""
    figure = axes.figure
    pixel = figure.dpi / 72
    means = np.array([(value(row), scale * row.score) for row in rows])
    least, largest = (np.array([(1, scale * end(row.scores)) for row in rows]) for end in (min, max))
    points, *bars = (axes.transData.transform(of) for of in (means, least, largest))
    points[:, 0] = apart(points, np.stack([bar[:, 1] for bar in bars], axis=1), 1.2 * SIZE * pixel)
    at = axes.transData.inverted().transform(points)
    owners = {row.technique: point for row, point in zip(rows, at, strict=True)}
    taken = [np.concatenate([points - SIZE * pixel / 2, points + SIZE * pixel / 2], axis=1)]
    for row, (x, _) in zip(rows, at, strict=True):
        mean, scores = scale * row.score, scale * np.array(row.scores)
        colour, marker = _look(row)
        spread = np.abs([[scores.min() - mean], [scores.max() - mean]])
        axes.errorbar(x, mean, yerr=spread, color=colour, marker=marker, markersize=SIZE, markeredgewidth=2,
                      markerfacecolor="white" if row.control else colour, linestyle="none", elinewidth=1.6,
                      zorder=3 + row.control)
        if row.control:
            own = owners[row.technique.removesuffix(Row.CONTROL)]
            axes.plot([own[0], x], [own[1], mean], color=colour, linewidth=1.6, linestyle="--", zorder=2)
            taken.append(beads(axes, own, (x, mean), pixel))
        taken.append(beads(axes, (x, scores.min()), (x, scores.max()), pixel))
    _names(axes, rows, points, np.vstack(taken), pixel)


def _names(axes: Any, rows: list[Row], points: np.ndarray, taken: np.ndarray, pixel: float) -> None:
    """The name of each row that is no control."""
    named = [i for i, row in enumerate(rows) if not row.control]
    names(axes, [rows[i].technique for i in named], points[named], taken, pixel)


def names(axes: Any, texts: list[str], points: np.ndarray, taken: np.ndarray, pixel: float,
          **look: Any) -> None:
    """Each text beside its point (n, 2), where it covers none of the boxes `taken` (m, 4), all in pixels, of
    which a point of type has so many; a thin line leads to it from afar. look: of the texts."""
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=3, foreground="white")]
    drawn = [axes.annotate(text, (0, 0), xycoords="figure pixels", ha="center", va="center", zorder=6,
                           path_effects=halo, annotation_clip=False, **look) for text in texts]
    boxes = [text.get_window_extent() for text in drawn]
    sizes = np.array([(box.width + 6 * pixel, box.height + 2 * pixel) for box in boxes])
    frame = np.array(axes.get_window_extent().extents)
    centres = place(points, sizes, taken, frame, 0.9 * SIZE * pixel)
    for point, text, centre, size in zip(points, drawn, centres, sizes, strict=True):
        text.set_position(centre)
        nearest = np.clip(point, centre - size / 2, centre + size / 2)
        if np.linalg.norm(nearest - point) > 1.8 * SIZE * pixel:
            axes.annotate("", point, nearest, xycoords="figure pixels", textcoords="figure pixels", zorder=2,
                          annotation_clip=False,
                          arrowprops={"arrowstyle": "-", "color": FAINT, "linewidth": 1})


def beads(axes: Any, start: Any, end: Any, pixel: float) -> np.ndarray:
    """A line of the chart as a row of small boxes, for what must not cover it."""
    a, b = axes.transData.transform([start, end])
    steps = np.linspace(0, 1, 2 + int(np.linalg.norm(b - a) / (4 * pixel)))[:, None]
    middle = a + steps * (b - a)
    return np.hstack([middle - 2 * pixel, middle + 2 * pixel])


def _technique(row: Row) -> Technique:
    """The one that a row's label begins with."""
    named = (one for one in EVERY if row.technique.startswith(one.name))
    return max(named, key=lambda one: len(one.name))


def _look(row: Row) -> tuple[str, str]:
    """The colour and the marker of a row's technique, the same for every network."""
    names = list(dict.fromkeys(technique.name for technique in EVERY))
    i = names.index(_technique(row).name)
    colour = COLOURS[(i - 1) % len(COLOURS)] if i else INK  # black is the float network
    return colour, MARKERS[i % len(MARKERS)]
