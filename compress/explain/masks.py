"""Which weights are zero, as a picture."""

from __future__ import annotations

from typing import Any

import numpy as np

from nn.explain.canvas import FONT

from ..stored import as_matrix
from .seen import framed, seen

SIDE = 512    # of the picture, in blocks of weights: beyond, a block is as dark as it is full


def mask(weight: Any, ax: Any = None) -> Any:
    """Draw which entries of a `weight` are not zero: dark on white, as the matrix (out, in) that multiplies,
    of filters (O, kH·kW·I). ax: Axes to draw in. Returns the Axes.

    Of more than 512 rows or columns several are one block, as dark as it is full. Raises TypeError for what
    is no weight, ValueError for one of one axis, ModuleNotFoundError without matplotlib.
    """
    w = seen("explain.mask", weight)
    lives = as_matrix(w) != 0
    rows, columns = lives.shape
    zeros = lives.size - np.count_nonzero(lives)
    title = f"{100 * zeros / lives.size:.1f} % of {rows}×{columns} weights are 0"
    wide = float(np.clip(columns / rows, 0.5, 3.0))
    ax = framed("explain.mask", ax, (3.2 + 3.6 * wide, 5.4), title,
                "input" if w.ndim == 2 else "input: row, column, channel", "output channel")
    blocks = [max(1, -(-size // SIDE)) for size in lives.shape]
    padded = np.full([-(-size // b) * b for size, b in zip(lives.shape, blocks, strict=True)], np.nan)
    padded[:rows, :columns] = lives
    full = np.nanmean(padded.reshape(padded.shape[0] // blocks[0], blocks[0], -1, blocks[1]), axis=(1, 3))
    ax.imshow(full, cmap="Greys", vmin=0, vmax=1, interpolation="nearest", aspect="auto",
              extent=(-0.5, columns - 0.5, rows - 0.5, -0.5))
    if max(blocks) > 1:
        ax.text(1, -0.13, f"a dot: {blocks[0]}×{blocks[1]} weights", transform=ax.transAxes, ha="right",
                fontsize=FONT - 2)
    ax.spines[["top", "right"]].set_visible(True)
    return ax
