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
    ("accuracy-bytes", "bytes on disk", lambda row: row.disk),
    ("accuracy-milliseconds", "ms / 256 images, one thread", lambda row: row.milliseconds),
)
MARKERS = {"cnn": "o", "mlp": "s"}


def draw(ledger: Ledger, out: Path) -> dict[str, bytes]:
    """Write a PNG for each chart to `out`; returns their bytes by file name, nothing without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return {}
    pictures = {}
    for name, label, value in CHARTS:
        figure = Figure(figsize=(8, 5), layout="constrained")
        _scatter(figure.add_subplot(), ledger, label, value)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=150)
        pictures[f"{name}.png"] = buffer.getvalue()
        write_bytes(out / f"{name}.png", buffer.getvalue())
    return pictures


def _scatter(axes: Any, ledger: Ledger, label: str, value: Callable[[Row], float]) -> None:
    for i, row in enumerate(ledger.rows):
        control = "control" in row.technique
        accuracy = [100 * a for a in row.accuracies]
        mean = 100 * row.accuracy
        color = "0.55" if control else f"C{i % 10}"
        axes.errorbar(
            value(row),
            mean,
            yerr=[[mean - min(accuracy)], [max(accuracy) - mean]],
            color=color,
            marker=MARKERS.get(row.network, "^"),
            markersize=7,
            capsize=3,
            linestyle="none",
            markerfacecolor="white" if control else color,
        )
        axes.annotate(
            f"{row.network} {row.technique}",
            (value(row), mean),
            xytext=(6, 5),
            textcoords="offset points",
            fontsize=8,
            color=color,
        )
    axes.set_xscale("log")
    axes.set_xlabel(label)
    axes.set_ylabel("test accuracy, % (mean, least and largest of the seeds)")
    axes.margins(x=0.25, y=0.12)
    axes.grid(alpha=0.3, which="both", linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
