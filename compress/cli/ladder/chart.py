"""The roofline of a ladder (Williams, Waterman & Patterson 2009): speed over operations a byte."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from nn.files import write_bytes

from .text import Rung, percent, rungs

BLUE, RED, GREY, INK = "#332288", "#CC3311", "#777777", "#222222"
LINES = 22  # of text, from the lowest to the highest speed
STYLE = {"font.size": 15, "font.family": "DejaVu Sans", "text.color": INK, "axes.spines.top": False,
         "axes.spines.right": False}


def draw(path: Path, name: str, mine: str, found: dict[str, Any]) -> bool:
    """Write the chart of the kernel `name` as a PNG, the rung `mine` marked; False without matplotlib."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return False
    with rc_context(STYLE):
        figure = Figure(figsize=(12, 7.5), layout="constrained")
        _roofline(figure.add_subplot(), name, mine, found)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110)
    write_bytes(path, buffer.getvalue())
    return True


def _roofline(axes: Any, name: str, mine: str, found: dict[str, Any]) -> None:
    operations = found["macs"] or found["numbers"]
    unit = "multiply-accumulates" if found["macs"] else "numbers"
    at = operations / found["bytes"]
    speeds = {rung: operations / seconds / 1e9 for rung, seconds in found["seconds"].items()}
    peaks = {route: speed / 1e9 for route, speed in found["peaks"].items()}
    copies = {what: speed / 1e9 for what, speed in found["copies"].items()}
    highest = max([*speeds.values(), *(peaks.values() or [at * max(copies.values())])])
    low = min(speeds.values()) / 2
    left = min(at / 60, min(peaks.values(), default=np.inf) / max(copies.values()) / 12)
    axes.set(xscale="log", yscale="log", xlim=(left, at * 25), ylim=(low, highest * 2))
    _roofs(axes, peaks, copies, at)
    axes.axvline(at, color=GREY, linewidth=1, linestyle=":", zorder=1)
    for rung, speed in speeds.items():
        own = rung == mine
        axes.plot(at, speed, "D" if own else "o", color=RED if own else BLUE, markersize=14 if own else 9,
                  markeredgecolor="white", zorder=5 if own else 4)
    _names(axes, rungs(found), speeds, at, mine)
    axes.set_xlabel(f"{unit} for each byte that has to be read or written")
    axes.set_ylabel(f"billions of {unit} a second")
    axes.set_title(f"{name}, {found['work']}", fontsize=18)
    axes.grid(alpha=0.25)


def _roofs(axes: Any, peaks: dict[str, float], copies: dict[str, float], at: float) -> None:
    """What no kernel can be above: a line up for the bytes, a level one for the multiplies."""
    (left, right), low = axes.get_xlim(), axes.get_ylim()[0]
    x = np.geomspace(left, right, 400)
    for (what, speed), style in zip(copies.items(), ("-", "--"), strict=True):
        axes.plot(x, np.minimum(x * speed, max(peaks.values(), default=np.inf)), style, color=GREY,
                  linewidth=2, zorder=2)
        said = f"copies of {'as many bytes' if what == 'these bytes' else '64 MB'}, {speed:.0f} GB/s"
        start = max(left * 1.15, low * 1.5 / speed)
        axes.text(start, start * speed / 1.1, said, color=GREY, fontsize=13, va="top",
                  rotation=_slope(axes), rotation_mode="anchor", zorder=2)
    levels: dict[float, list[str]] = {}
    for route, speed in sorted(peaks.items(), key=lambda pair: pair[1]):
        near = next((level for level in levels if speed < 1.1 * level), speed)
        levels.setdefault(near, []).append(route)
    for level, routes in levels.items():
        axes.plot([level / max(copies.values()), right], [level, level], color=GREY, linewidth=2, zorder=2)
        room = at > 6 * level / min(copies.values())  # to the left of the names
        axes.text(at / 1.15 if room else right, level * 1.05, f"peak of {', '.join(routes)}: {level:.0f}",
                  color=GREY, fontsize=13, ha="right", va="bottom", zorder=2)


def _slope(axes: Any) -> float:
    """The angle, in degrees, of a line that rises with x on these axes."""
    box, (left, right), (low, high) = axes.figure.get_size_inches(), axes.get_xlim(), axes.get_ylim()
    wide, tall = 0.9 * box[0] / np.log(right / left), 0.82 * box[1] / np.log(high / low)
    return float(np.degrees(np.arctan2(tall, wide)))


def _names(axes: Any, each: list[Rung], speeds: dict[str, float], at: float, mine: str) -> None:
    """The rungs' names and shares of the roof beside their marks, apart, a thin line to each."""
    from matplotlib.patheffects import withStroke

    low, high = axes.get_ylim()
    heights = np.log([speeds[rung.name] for rung in each])
    places = apart(heights, np.log(high / low) / LINES)
    places += min(np.log(high / 1.15) - places[-1], 0)
    for rung, height, place in zip(each, heights, places, strict=True):
        own = rung.name == mine
        axes.plot([at * 1.06, at * 1.3], np.exp([height, place]), color=GREY, linewidth=0.8, zorder=3)
        axes.text(at * 1.35, np.exp(place), f"{rung.name}, {percent(rung.share)}", va="center",
                  fontsize=13, color=RED if own else BLUE, fontweight="bold" if own else "normal", zorder=6,
                  path_effects=[withStroke(linewidth=4, foreground="white")])


def apart(heights: np.ndarray, step: float) -> np.ndarray:
    """Rising heights moved so that neighbours are a step apart at least, by as little as that takes (the
    least sum of squares: pools of neighbours that touch, each around its mean)."""
    pools: list[list[float]] = []
    for i, height in enumerate(heights):
        pools.append([height - i * step, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, n), (b, m) = pools[-2:]
            pools[-2:] = [[(a * n + b * m) / (n + m), n + m]]
    return np.repeat([mean for mean, _ in pools], [n for _, n in pools]) + step * np.arange(len(heights))
