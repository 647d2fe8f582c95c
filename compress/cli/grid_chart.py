"""The chart of `espalier --grid`: what is lost against float, by bits of weights and of activations. It needs
the extra `plot`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .drawing import write_png
from .low_bits import ACTIVATIONS, WEIGHTS, Bits, name

WORST = 10.0  # points lost, at which the colours end: what is worse has its number


def draw(table: Any, kinds: Mapping[str, str], path: Path) -> None:
    """Write the PNG: a panel for each of `kinds`, with its title. Nothing without matplotlib."""
    write_png(figure, path, table, kinds)


def figure(table: Any, kinds: Mapping[str, str]) -> Any:
    """The same as a figure of matplotlib."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(13, 6.4), layout="constrained")
    panels = drawn.subplots(1, len(kinds), sharey=True)
    for axes, (kind, title) in zip(panels, kinds.items(), strict=True):
        points = np.full((len(WEIGHTS), len(ACTIVATIONS)), np.nan)
        for i, weights in enumerate(WEIGHTS):
            for j, activations in enumerate(ACTIVATIONS):
                found = table.differences(Bits(weights, activations), kind)
                if found:
                    points[i, j] = statistics.fmean(found)
        if table.found:
            points[-1, -1] = 0.0  # float itself
        image = axes.imshow(np.clip(points, -WORST, 0), cmap="cividis", vmin=-WORST, vmax=0, aspect="auto")
        for (i, j), value in np.ndenumerate(points):
            if np.isfinite(value):
                axes.annotate(f"{value:+.1f}", (j, i), ha="center", va="center", fontsize=14,
                              color="white" if value < -WORST / 2 else "black")
        axes.set_title(title)
        axes.set_xticks(range(len(ACTIVATIONS)), [name(bits) for bits in ACTIVATIONS])
        axes.set_yticks(range(len(WEIGHTS)), [name(bits) for bits in WEIGHTS])
        axes.set_xlabel("activations")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
    panels[0].set_ylabel("weights")
    bar = drawn.colorbar(image, ax=panels, label="points against float of equal epochs", shrink=0.8)
    bar.outline.set_visible(False)
    count = len({seed for _, seed in table.found})
    drawn.supxlabel(f"digits_cnn, first and last layer 8 bits, mean of {count} seed{'s' * (count != 1)}",
                    fontsize=12, color="#555555")
    return drawn
