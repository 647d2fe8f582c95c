"""The chart of the bytes of each layer: where a technique saves, and what its indices and tables cost."""

from typing import Any

import numpy as np

from .ledger import Ledger, Row
from .techniques import NETWORKS

PARTS = {  # what is stored: what it is, colour, hatch
    "payload": ("values, or their codes", "#0072B2", ""),
    "indices": ("indices: which weight a value is for", "#E69F00", "////"),
    "tables": ("tables: scales, codebooks, biases, row starts", "#009E73", "...."),
    "header": ("header: the calls, names and shapes", "#bbbbbb", "")}


def layer_bytes(ledger: Ledger) -> Any:
    """A figure with a panel for each layer of each network and a bar in it for each row but the controls."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    networks = list(dict.fromkeys(row.network for row in ledger.rows))
    rows = [[row for row in ledger.rows if row.network == n and not row.control] for n in networks]
    layers = [list(dict.fromkeys(layer for row in some for layer in row.layers)) for some in rows]
    heights = [len(some) + 1.6 for some in rows]
    figure = Figure(figsize=(14, 0.42 * sum(heights) + 0.9), layout="constrained")
    blocks = figure.subfigures(len(networks), 1, height_ratios=heights, squeeze=False)[:, 0]
    for block, network, some, names in zip(blocks, networks, rows, layers, strict=True):
        block.suptitle(f"{NETWORKS[network].build.__name__}: kB on disk, a scale for each layer", fontsize=17)
        panels = block.subplots(1, len(names), sharey=True, squeeze=False)[0]
        for axes, layer in zip(panels, names, strict=True):
            _panel(axes, layer, some)
    handles = [Patch(facecolor=colour, hatch=hatch, edgecolor="white", label=label)
               for label, colour, hatch in PARTS.values()]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=12, frameon=False)
    return figure


def _panel(axes: Any, layer: str, rows: list[Row]) -> None:
    """The bars of one layer, from 0, each with its sum at its end."""
    sizes = [{part: row.layers.get(layer, {}).get(part, 0) / 1000 for part in PARTS} for row in rows]
    places, left = np.arange(len(rows)), np.zeros(len(rows))
    for part, (_, colour, hatch) in PARTS.items():
        width = np.array([size[part] for size in sizes])
        look = {"color": colour, "hatch": hatch, "edgecolor": "white", "linewidth": 0}
        axes.barh(places, width, left=left, height=0.7, **look)
        left += width
    for y, total in zip(places, left, strict=True):
        axes.annotate(f"{total:.1f}", (total, y), (4, 0), textcoords="offset points", va="center")
    axes.set_title("file header" if layer == "file" else layer, fontsize=15)
    axes.set_yticks(places, [row.technique for row in rows], fontsize=14)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 1.35 * max(left.max(), 1e-3))
    axes.set_xticks([])
    axes.spines[["bottom"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
