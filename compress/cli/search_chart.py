"""The chart of `espalier search`: what was lost against bytes or milliseconds, with the front of what was
measured, and beside it, dashed, where that would be if techniques added up (of times nothing says that). It
needs the extra `plot`."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..search.front import Parts, additive, pareto_front
from ..search.goal import Outcome
from .charts import COLOURS, FAINT, INK, beads, names, ticks
from .drawing import write_png
from .search_space import JOINT

UNITS = {"nbytes": ("size of the file", " kB", 1000.0),
         "milliseconds": ("time of 256 images, one thread", " ms", 1.0)}


def draw(found: Any, path: Path) -> None:
    """Write the PNG of a `search.Search`. Nothing without matplotlib."""
    write_png(figure, path, found)


def figure(found: Any) -> Any:
    """The same as a figure of matplotlib."""
    from matplotlib.figure import Figure

    what, unit, factor = UNITS[found.cost]
    drawn = Figure(figsize=(12, 7.5), layout="constrained")
    axes = drawn.add_subplot(1, 1, 1)

    def at(outcomes: list[Outcome]) -> tuple[list[float], list[float]]:
        return [getattr(one, found.cost) / factor for one in outcomes], [one.points for one in outcomes]

    for rung in found.rounds[:-1]:
        axes.plot(*at(list(rung.outcomes.values())), "o", color=FAINT, markersize=4, alpha=0.5, zorder=2)
    sums = _sums(found)
    for parts, sum_ in sums.items():
        axes.plot(*at([found.last[parts], sum_]), color=COLOURS[1], linewidth=1, linestyle=":", zorder=3)
    axes.plot(*at(list(found.last.values())), "o", color=COLOURS[0], markersize=8, zorder=5,
              label=f"trained for {found.rounds[-1].epochs} epochs")
    front = pareto_front(found.last, found.cost)
    axes.plot(*at([found.last[parts] for parts in front]), color=COLOURS[0], linewidth=2, zorder=4,
              label="front of what was measured")
    if sums:
        axes.plot(*at(list(sums.values())), "o", color=COLOURS[1], markerfacecolor="white", markersize=8,
                  markeredgewidth=1.8, zorder=4, label="if its parts added up")
        predicted = {**found.last, **sums}
        axes.plot(*at([predicted[parts] for parts in pareto_front(predicted, found.cost)]), color=COLOURS[1],
                  linewidth=2, linestyle="--", zorder=3, label="front of what was predicted")
    axes.set_xscale("log")
    _frame(axes, [*found.last.values(), *sums.values()], found, factor)
    _goal(axes, found, factor)
    axes.axhline(0, color=FAINT, linewidth=1.2, linestyle=":", zorder=1)
    axes.set_xticks(ticks(*axes.get_xlim()))
    axes.set_xticks([], minor=True)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}{unit}")
    axes.set_xlabel(what)
    axes.set_ylabel("points of accuracy against float, held out")
    axes.grid(alpha=0.3, linewidth=0.8, which="both")
    axes.set_axisbelow(True)
    drawn.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=12)
    seeds = f"{len(found.seeds)} seed{'s' * (len(found.seeds) != 1)}"
    drawn.supxlabel(f"{found.network}, mean of {seeds}; small grey marks: shorter rounds of halving; green: "
                    "the goal", fontsize=12, color="#555555")
    drawn.draw_without_rendering()  # lays the chart out: from here on pixels are known
    drawn.set_layout_engine("none")
    _names(axes, front, [*zip(*at([found.last[parts] for parts in front]), strict=True)],
           [*zip(*at([*found.last.values(), *sums.values()]), strict=True)])
    return drawn


def _names(axes: Any, front: list[Parts], along: list[tuple[float, float]],
           marks: list[tuple[float, float]]) -> None:
    """Of the recipes of the front, beside which they cover neither it nor a mark."""
    pixel = axes.figure.dpi / 72
    points, around = axes.transData.transform(along), axes.transData.transform(marks)
    taken = [np.hstack([around - 5 * pixel, around + 5 * pixel])]
    taken += [beads(axes, start, end, pixel) for start, end in pairwise(along)]
    names(axes, [JOINT.join(parts) or "float" for parts in front], points, np.vstack(taken), pixel,
          fontsize=11, color=INK)


def _sums(found: Any) -> dict[Parts, Outcome]:
    """Of each recipe of several parts, what they add up to; no time does."""
    if found.cost != "nbytes":
        return {}
    every = {parts: additive(parts, found.last) for parts in found.last if len(parts) > 1}
    return {parts: one for parts, one in every.items() if one is not None}


def _frame(axes: Any, outcomes: list[Outcome], found: Any, factor: float) -> None:
    """As wide as what is drawn in full, with room for names; what short trainings lost may leave it."""
    costs = [getattr(one, found.cost) / factor for one in outcomes]
    low, high = min(one.points for one in outcomes), max(one.points for one in outcomes)
    low = min(low, -(found.goal.margin or 0.0))
    tall = max(high - low, 0.5)
    axes.set_xlim(min(costs) / 1.3, max(costs) * 1.5)
    axes.set_ylim(low - 0.2 * tall, high + 0.4 * tall)


def _goal(axes: Any, found: Any, factor: float) -> None:
    """A field of what reaches the goal, as far as it is one of what is drawn."""
    limit, margin = getattr(found.goal, found.cost), found.goal.margin
    colour = {"color": COLOURS[2], "zorder": 0}
    if limit is not None and margin is not None:
        (left, _), (_, top) = axes.get_xlim(), axes.get_ylim()
        axes.fill_between([left, max(limit / factor, left)], -margin, top, alpha=0.1, linewidth=0, **colour)
    elif limit is not None:
        axes.axvline(limit / factor, linewidth=1.4, **colour)
    else:
        axes.axhline(-margin, linewidth=1.4, **colour)
