"""Two charts of the ledger: accuracy against bytes, accuracy against milliseconds. They need the extra
`plot`.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nn.files import write_bytes

from .ledger import Ledger, Row

__all__ = ["draw"]

CHARTS: tuple[tuple[str, str, Callable[[Row], float]], ...] = (
    ("accuracy-bytes", "kB on disk", lambda row: row.disk / 1000),
    ("accuracy-milliseconds", "ms / 256 images, one thread", lambda row: row.milliseconds),
)


def draw(ledger: Ledger, out: Path) -> dict[str, bytes]:
    """Write a PNG for each chart to `out`; returns their bytes by file name, nothing without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return {}
    networks = list(dict.fromkeys(row.network for row in ledger.rows))
    pictures = {}
    for name, label, value in CHARTS:
        figure = Figure(figsize=(5.5 * len(networks), 4.5), layout="constrained")
        for i, network in enumerate(networks):
            axes = figure.add_subplot(1, len(networks), i + 1, title=network)
            _scatter(axes, [row for row in ledger.rows if row.network == network], value)
            axes.set_xlabel(label)
        figure.supylabel("test accuracy, % (mean, least and largest of the seeds)", fontsize=10)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=150)
        pictures[f"{name}.png"] = buffer.getvalue()
        write_bytes(out / f"{name}.png", buffer.getvalue())
    return pictures


def _scatter(axes: Any, rows: list[Row], value: Callable[[Row], float]) -> None:
    """A mark a row, named in the legend; a dense control has the hollow mark of the row it stands beside."""
    from matplotlib.ticker import LogLocator

    style = -1
    for row in rows:
        control = row.technique.endswith("control")
        style += not control
        accuracy = [100 * a for a in row.accuracies]
        mean = 100 * row.accuracy
        axes.errorbar(
            value(row), mean, yerr=[[mean - min(accuracy)], [max(accuracy) - mean]], label=row.technique,
            color=f"C{style % 10}", marker="osD^vP*X"[style % 8], markersize=8, capsize=3, linestyle="none",
            linewidth=1, markerfacecolor="white" if control else f"C{style % 10}", zorder=2 + control,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.margins(x=0.15, y=0.1)
    axes.legend(fontsize=8, framealpha=0.9)
    axes.grid(alpha=0.3, which="both", linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
