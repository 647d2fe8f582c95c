"""The chart of `espalier --few-labels`: accuracy against the number of labels, a line for each method. It
needs the extra `plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .charts import COLOURS, INK
from .drawing import means, over_seeds, percents, write_png
from .labelled import LABELS, METHODS

LOOKS = "osD^vP"  # of the methods, in their order
ALL = 1000  # where all labels are drawn


def draw(table: Any, path: Path) -> None:
    """Write the PNG. Nothing without matplotlib."""
    write_png(figure, path, table)


def figure(table: Any) -> Any:
    """The same as a figure of matplotlib."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(10, 6.4), layout="constrained")
    axes = drawn.add_subplot(1, 1, 1, xscale="log")
    places = [ALL if labels is None else labels for labels in LABELS]
    for i, method in enumerate(METHODS):
        known = [(place, list(found.values())) for place, labels in zip(places, LABELS, strict=True)
                 if (found := table.of(method, labels))]
        means(axes, [place for place, _ in known], [some for _, some in known], label=method,
              color=COLOURS[i - 1] if i else INK, linestyle="-" if i else "--", marker=LOOKS[i])
    axes.set_xticks(places, ["all" if labels is None else str(labels) for labels in LABELS])
    percents(axes)
    axes.set_xlabel("labels")
    axes.set_ylabel("accuracy on test images")
    axes.legend(frameon=False, loc="lower right")
    drawn.supxlabel(f"digits_cnn, {over_seeds(table.seeds())}", fontsize=12, color="#555555")
    return drawn
