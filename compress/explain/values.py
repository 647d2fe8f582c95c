"""The values of a weight, before and after: a histogram, and the few values that it shares or may have."""

from __future__ import annotations

from typing import Any

import numpy as np

from nn.explain.canvas import FONT, INDIGO, INK, ROSE, TEAL

from ..stored import Stored
from .seen import framed, seen

FEW, MANY = 64, 256    # values that are drawn as stems; values of a codebook at most


def histogram(before: Any, after: Any = None, ax: Any = None, channel: int | None = None) -> Any:
    """Draw how the values of a weight are distributed, `before` and, if given, `after` a technique.

    Up to 64 different values of `after`, those of a codebook or a grid, are stems as high as weights have
    them; more are an outline. Zeros that are more than a twentieth are counted apart. channel: only the
    weights of this output channel, whose grid has a scale of its own. ax: Axes to draw in. Returns the Axes.
    Raises TypeError for what is no weight, ValueError for weights of different shapes, IndexError for a
    channel that there is not, ModuleNotFoundError without matplotlib.
    """
    arrays = [seen("explain.histogram", weight) for weight in (before, after) if weight is not None]
    if len({array.shape for array in arrays}) > 1:
        raise ValueError(f"explain.histogram: before is {arrays[0].shape}, after {arrays[1].shape}")
    if channel is not None:
        arrays = [array[channel] for array in arrays]
    (first, *others), title = [array.ravel() for array in arrays], f"{arrays[0].size:,} weights"
    ax = framed("explain.histogram", ax, (10, 4.8), title + f" of output channel {channel}" *
                (channel is not None), "value", "weights")
    low, high = (float(end(array) if array.size else 0) for end, array in (
        (np.min, np.concatenate(arrays, None)), (np.max, np.concatenate(arrays, None))))
    edges = np.linspace(low, high if high > low else low + 1, 81)
    ax.hist(first, edges, color="#bbbbbb", label="before" if others else None)
    for array in others:
        _after(ax, array, edges)
        ax.set_ylim(0, 1.2 * ax.get_ylim()[1])    # room for the legend
        ax.legend(fontsize=FONT - 1, frameon=False, loc="upper center", ncols=3)
    return ax


def _after(ax: Any, values: np.ndarray, edges: np.ndarray) -> None:
    """What became of the values, over the histogram of what they were."""
    zeros = np.count_nonzero(values == 0)
    apart = zeros > values.size / 20
    found, counts = np.unique(values[values != 0] if apart else values, return_counts=True)
    if len(found) <= FEW:
        ax.vlines(found, 0, counts, color=TEAL, linewidth=2.5, label=f"after: {len(found)} values")
        ax.plot(found, counts, "o", color=TEAL, markersize=6)
    else:
        ax.hist(np.repeat(found, counts), edges, histtype="step", color=INDIGO, linewidth=2,
                label=f"after: {len(found):,} values")
        if len(found) <= MANY:
            ax.plot(found, np.zeros(len(found)), "|", color=INDIGO, markersize=10, clip_on=False)
    if apart:
        ax.axvline(0, 0, 0.84, color=ROSE, linewidth=2.5, linestyle="--",
                   label=f"0: {zeros:,} weights ({100 * zeros / values.size:.1f} %)")


def _unscaled(weight: Any) -> tuple[Any, str]:
    """A stored form of codes without the scales of its channels, and what is to be said of that."""
    if not isinstance(weight, Stored) or "codebook" not in weight.parts or not weight.arrays()["scale"].size:
        return weight, ""
    arrays = {**weight.arrays(), "scale": np.zeros(0, np.float32)}
    return type(weight).from_arrays(arrays, weight.shape), "; times a scale a channel"


def codebook(weight: Any, ax: Any = None) -> Any:
    """Draw the few values that the entries of a `weight` share, each as high as it has members. Up to 64 have
    their codes, and short marks below, halfway between two, where a weight would change its code. ax: Axes to
    draw in. Returns the Axes.

    Where channels have a scale of their own beside the codebook, as where batch norm was folded into a weight
    that was shared, it is left out. The title has the bits of a code, and the entropy, the bits that a code
    takes on average at least if frequent ones may be shorter (Shannon 1948). Raises TypeError for what is no
    weight, ValueError for more than 256 different values, ModuleNotFoundError without matplotlib.
    """
    weight, scaled = _unscaled(weight)
    values, counts = np.unique(seen("explain.codebook", weight), return_counts=True)
    if len(values) > MANY:
        raise ValueError(f"explain.codebook: the weight has {len(values):,} different values, a codebook at "
                         f"most {MANY}; channels with scales of their own have a codebook each")
    share = counts / counts.sum()
    entropy = max(0.0, -float(np.sum(share * np.log2(share))))
    bits = max(len(values) - 1, 1).bit_length()
    title = f"{len(values)} values, {bits} bit{'s' * (bits > 1)} a code; entropy {entropy:.2f} bits{scaled}"
    uneven = counts.max() > 20 * np.median(counts)
    ax = framed("explain.codebook", ax, (10, 4.8), title, "value",
                f"weights that have it{' (log)' * bool(uneven)}")
    ax.set_yscale("log" if uneven else "linear")
    least = 0.5 if uneven else 0.0
    ax.set_ylim(least, (2.0 if uneven else 1.15) * counts.max())
    ax.vlines(values, least, counts, color=TEAL, linewidth=3 if len(values) <= FEW else 1.5)
    if len(values) > FEW:
        return ax
    ax.plot(values, counts, "o", color=TEAL, markersize=8)
    room, last = np.ptp(values) / 45, -np.inf
    for code, (value, count) in enumerate(zip(values, counts, strict=True)):
        if value - last >= room:    # else it would stand on the one before
            ax.annotate(str(code), (value, count), (0, 8), textcoords="offset points", ha="center",
                        fontsize=FONT - 2, color=INK)
            last = value
    ax.plot((values[1:] + values[:-1]) / 2, np.full(len(values) - 1, least), "|", color=ROSE, markersize=14,
            markeredgewidth=2, clip_on=False)
    return ax
