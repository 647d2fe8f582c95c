"""The chart of `espalier --few-labels`: accuracy against the number of labels, a line for each method. It
needs the extra `plot`."""

from __future__ import annotations

import io
import statistics
from pathlib import Path
from typing import Any

from nn.files import write_bytes

from .cells import standard_error
from .charts import COLOURS, INK, STYLE
from .labelled import LABELS, METHODS

LOOKS = "osD^vP"  # of the methods, in their order
ALL = 1000  # where all labels are drawn


def draw(table: Any, path: Path) -> None:
    """Write the PNG. Nothing without matplotlib."""
    try:
        from matplotlib import rc_context
    except ModuleNotFoundError:
        return
    with rc_context(STYLE):
        buffer = io.BytesIO()
        figure(table).savefig(buffer, format="png", dpi="figure")
        write_bytes(path, buffer.getvalue())


def figure(table: Any) -> Any:
    """The same as a figure of matplotlib."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(10, 6.4), layout="constrained")
    axes = drawn.add_subplot(1, 1, 1, xscale="log")
    places = [ALL if labels is None else labels for labels in LABELS]
    for i, method in enumerate(METHODS):
        known = [(place, list(found.values())) for place, labels in zip(places, LABELS, strict=True)
                 if (found := table.of(method, labels))]
        axes.errorbar([place for place, _ in known], [statistics.fmean(some) for _, some in known],
                      yerr=[standard_error(some) if len(some) > 1 else 0.0 for _, some in known],
                      color=COLOURS[i - 1] if i else INK, linestyle="-" if i else "--", marker=LOOKS[i],
                      markersize=8, linewidth=1.8, elinewidth=1.4, label=method)
    axes.set_xticks(places, ["all" if labels is None else str(labels) for labels in LABELS])
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:g} %")
    axes.set_xlabel("labels")
    axes.set_ylabel("accuracy on test images")
    axes.grid(alpha=0.3, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, loc="lower right")
    count = table.seeds()
    drawn.supxlabel(f"digits_cnn, mean of {count} seed{'s' * (count != 1)}, bars: standard error",
                    fontsize=12, color="#555555")
    return drawn
