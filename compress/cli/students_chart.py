"""The chart of `espalier --students`: accuracy against the size of a student, a line for each way to teach
it. It needs the extra `plot`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .charts import COLOURS, FAINT, INK
from .drawing import means, over_seeds, percents, write_png

LOOKS = ("o", "s", "D")
BESIDE = 2**0.06  # by which marks of one size stand apart


def draw(table: Any, tasks: Mapping[Any, str], ways: Mapping[str, str], path: Path) -> None:
    """Write the PNG: a panel for each of `tasks`, with its title. Nothing without matplotlib."""
    write_png(figure, path, table, tasks, ways)


def figure(table: Any, tasks: Mapping[Any, str], ways: Mapping[str, str]) -> Any:
    """The same as a figure of matplotlib."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(15, 6), layout="constrained")
    panels = drawn.subplots(1, len(tasks), squeeze=False)[0]
    for axes, (task, title) in zip(panels, tasks.items(), strict=True):
        _panel(axes, table, task, ways)
        axes.set_title(title, fontsize=15)
    panels[0].set_ylabel("accuracy on test images")
    handles, labels = panels[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=13)
    drawn.supxlabel(f"all trained for equal epochs; {over_seeds(table.seeds())}", fontsize=12,
                    color="#555555")
    return drawn


def _panel(axes: Any, table: Any, task: Any, ways: Mapping[str, str]) -> None:
    """A line for each way over the part of the weights, on a log scale."""
    axes.set_xscale("log", base=2)
    parts = sorted({student.part for student, _ in table.found if (student.network, student.wrong) == task})
    for i, ((way, name), colour, look) in enumerate(zip(ways.items(), (INK, *COLOURS), LOOKS, strict=False)):
        points = [table.of(task, part, way) for part in parts]
        x = [part * BESIDE ** (i - 1) for part in parts]
        means(axes, x, points, color=colour, marker=look, capsize=3, label=f"student, from {name}",
              linestyle="-" if way == "soft" else "--")
    if parts:
        axes.axhline(statistics.fmean(table.teacher(task)), color=FAINT, linewidth=1.4, linestyle=":",
                     label="the teacher itself", zorder=1)
    axes.set_xticks(parts, [f"1/{1 / part:g}" for part in parts])
    percents(axes)
    axes.set_xlabel("part of the teacher's weights")
