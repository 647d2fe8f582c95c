"""The roofline: how fast a kernel can at best be, by how often it uses each byte that it moves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .canvas import axes as axes_for
from .figures import BLUE, DARK, GREEN, GREY, ORANGE, note


def roofline(peak: float, reads: Mapping[str, float], points: Mapping[str, tuple[float, float]],
             ax: Any = None) -> Any:
    """Draw points below the roof min(peak, intensity · speed of reading), of Williams, Waterman & Patterson
    (2009); returns the Axes of matplotlib.

    peak: multiply-adds a second that the multipliers can do (nn.kernels.peak). reads: by the name of a
    memory, the bytes a second that come from it (nn.kernels.copy_speed): a slope each. points: by the name of
    what was measured, (multiply-adds for each byte moved, multiply-adds a second). ax: Axes to draw in; new
    ones, if left out. Raises ValueError where a number is not above 0, ModuleNotFoundError without
    matplotlib.
    """
    given = {"peak": (peak,)} | {name: (speed,) for name, speed in reads.items()} | dict(points)
    for name, values in given.items():
        if not all(value > 0 for value in values):
            said = ", ".join(map(str, values))
            raise ValueError(f"explain.roofline: numbers must be above 0, got {said} for {name!r}")
    own = ax is None
    ax = axes_for("explain.roofline", ax, 9.5, 4.8)
    if own:
        ax.set_position((0.08, 0.14, 0.9, 0.78))
    from matplotlib.patheffects import withStroke

    at = [x for x, _ in points.values()]
    left, right = min([*at, 0.1]) / 2.5, max([*at, peak / min(reads.values())]) * 6
    along = np.geomspace(left, right, 200)
    lowest = min([y for _, y in points.values()] + [left * speed for speed in reads.values()]) / 2
    for (name, speed), colour in zip(reads.items(), (ORANGE, GREEN, DARK, GREY) * len(reads), strict=False):
        ax.plot(along, np.minimum(peak, along * speed) / 1e9, color=colour, linewidth=2.5, zorder=1)
        start = max(left, lowest / speed)
        note(ax, name, (start, start * speed / 1e9), (16, 2), color=colour, va="center")
    note(ax, "the peak", (right, peak / 1e9), (-4, 6), ha="right", color=DARK)
    for name, (x, y) in points.items():
        ax.plot(x, y / 1e9, "o", color=BLUE, markersize=11, zorder=3)
        note(ax, name, (x, y / 1e9), (11, -7), path_effects=[withStroke(linewidth=4, foreground="white")])
    ax.set(xscale="log", yscale="log", xlim=(left, right), xlabel="multiply-adds for each byte moved",
           ylim=(lowest / 1e9, 2.5 * max([peak, *(y for _, y in points.values())]) / 1e9),
           title="billion multiply-adds a second")
    ax.spines[["top", "right"]].set_visible(False)
    return ax
