"""The chart of `espalier --curves`: accuracy against sparsity, a line for each score. It needs the extra
`plot`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .charts import COLOURS, FAINT, INK
from .drawing import means, over_seeds, percents, write_png
from .pruned_digits import CONTROL, Pruning

LOOKS = ("o", "s", "D", "^", "v")  # of the scores, in the order of COLOURS
ROOM = 10.0  # points below float that a panel shows of what was trained after pruning; lines may leave it


def draw(table: Any, curves: Sequence[str], kinds: Mapping[str, str], path: Path) -> None:
    """Write the PNG: a panel for each of `kinds`, with its title. Nothing without matplotlib."""
    write_png(figure, path, table, curves, kinds)


def figure(table: Any, curves: Sequence[str], kinds: Mapping[str, str]) -> Any:
    """The same as a figure of matplotlib."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(15, 6.4), layout="constrained")
    panels = drawn.subplots(1, len(kinds))
    sparsities = sorted({pruning.sparsity for pruning, _ in table.found})
    for axes, (kind, title) in zip(panels, kinds.items(), strict=True):
        _panel(axes, table, curves, kind, sparsities)
        axes.set_title(title, fontsize=15)
    panels[0].set_ylabel("accuracy on test images")
    handles, labels = panels[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=13)
    drawn.supxlabel(f"digits_cnn, all layers but the first; {over_seeds(table.seeds())}; dense control: a "
                    "small dense network of equal bytes, trained", fontsize=12, color="#555555")
    return drawn


def _panel(axes: Any, table: Any, curves: Sequence[str], kind: str, sparsities: list[float]) -> None:
    """A line for each curve over what is left, from much to little, on a log scale."""
    axes.set_xscale("log")
    if sparsities:  # which may be one
        axes.set_xlim(1.1 * (1 - sparsities[0]), (1 - sparsities[-1]) / 1.1)
    for i, curve in enumerate(curves):
        known = [one for one in sparsities if table.of(Pruning(curve, one), kind)]
        points = [table.of(Pruning(curve, one), kind) for one in known]
        dense = curve == CONTROL
        colour = INK if dense else COLOURS[i % len(COLOURS)]
        means(axes, [1 - one for one in known], points, color=colour, label=curve, zorder=3 + dense,
              marker="o" if dense else LOOKS[i % len(LOOKS)], markerfacecolor="white" if dense else colour,
              markeredgewidth=1.8, linestyle="--" if dense else "-")
    if table.found:
        float_ = statistics.fmean(table.floats())
        axes.axhline(float_, color=FAINT, linewidth=1.4, linestyle=":", label="float", zorder=1)
        if kind != "pruned":
            axes.set_ylim(float_ - ROOM, float_ + ROOM / 8)
    axes.set_xticks([1 - one for one in sparsities], [f"{100 * one:g}" for one in sparsities])
    percents(axes)
    axes.set_xlabel("sparsity, %")
