"""The cores of a tensor train, as physicists draw them: boxes, and lines for the indices that are summed
over."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from nn.explain.canvas import FONT, INK, ROSE, SMALL, TITLE, in_points, titled
from nn.parameter import Parameter

from ..techniques.tensor_train import TensorTrainState, TensorTrainWeight

BOX, GAP, LEG = 150, 90, 34    # in points


def cores(weight: Any, ax: Any = None) -> Any:
    """Draw a tensor train: W[o₁…o_d, i₁…i_d] = G₁[:, i₁, o₁, :]·…·G_d[:, i_d, o_d, :] (Oseledets 2011).

    A box is a core, in it its numbers as the matrix (rₖ₋₁·iₖ, oₖ·rₖ), each on a colour scale of its own, blue
    negative, red positive. A line between two boxes is the index that they are summed over, as thick as its
    rank is large; the lines above and below are the digits of the input and the output. weight: a stored form
    of that kind, a Parameter that trains cores, or a list of cores (r, i, o, s). ax: Axes to draw in. Returns
    the Axes. Raises TypeError for another weight, ValueError for cores that do not fit,
    ModuleNotFoundError without matplotlib.
    """
    found = _cores_of(weight)
    ranks = [core.shape[3] for core in found[:-1]]
    ins, outs = (prod(core.shape[axis] for core in found) for axis in (1, 2))
    numbers, dense = sum(core.size for core in found), ins * outs
    fewer = f"{dense / numbers:.2g}× fewer than" if numbers < dense else "not fewer than"
    title = f"W {outs}×{ins}: {numbers:,} numbers in {len(found)} cores, {fewer} {dense:,}"
    width = max(len(found) * BOX + (len(found) - 1) * GAP, titled(title))
    top = 2.2 * TITLE + LEG
    ax, scale = in_points("explain.cores", ax, width, top + BOX + LEG + 3.6 * FONT)
    limits = ax.get_xlim(), ax.get_ylim()
    ax.text(0, 0.6 * TITLE, title, fontsize=TITLE * scale, color=INK, va="center")
    words = {"fontsize": FONT * scale, "va": "center", "color": INK}
    for k, core in enumerate(found):
        left, (r, i, o, s) = k * (BOX + GAP), core.shape
        middle = left + BOX / 2
        for above, below, said, y in ((top - LEG, top, f"i = {i}", top - LEG + 4),
                                      (top + BOX, top + BOX + LEG, f"o = {o}", top + BOX + LEG - 4)):
            ax.plot([middle, middle], [above, below], color=INK, linewidth=2 * scale)
            ax.text(middle + 8, y, said, **words)
        largest = float(np.abs(core).max()) or 1.0
        ax.imshow(core.reshape(r * i, o * s), cmap="RdBu_r", vmin=-largest, vmax=largest, aspect="auto",
                  extent=(left, left + BOX, top + BOX, top), interpolation="nearest", zorder=2)
        ax.plot(np.array([0, 1, 1, 0, 0]) * BOX + left, np.array([0, 0, 1, 1, 0]) * BOX + top, color=INK,
                linewidth=1.5 * scale, zorder=3)
        ax.text(middle, top + BOX + LEG + 1.6 * FONT, f"{'×'.join(map(str, core.shape))} = {core.size:,}",
                ha="center", **{**words, "fontsize": SMALL * scale, "family": "DejaVu Sans Mono"})
    for k, rank in enumerate(ranks):
        left = (k + 1) * BOX + k * GAP
        ax.plot([left, left + GAP], [top + BOX / 2] * 2, color=ROSE, zorder=1, solid_capstyle="butt",
                linewidth=scale * max(2.0, 14 * rank / max(ranks)))
        ax.text(left + GAP / 2, top + BOX / 2 - 20, f"r = {rank}", ha="center", **words)
    ax.set_xlim(limits[0])
    ax.set_ylim(limits[1])
    return ax


def _cores_of(weight: Any) -> list[np.ndarray]:
    if isinstance(weight, Parameter):
        states = getattr(weight.parametrization, "states", None) or ()
        weight = next((state for state in states if isinstance(state, TensorTrainState)), weight)
    if isinstance(weight, TensorTrainState):
        weight = [core.data for core in weight.cores]
    elif isinstance(weight, TensorTrainWeight):
        weight = weight.cores()
    several = isinstance(weight, (list, tuple)) and bool(weight)
    if not several or not all(isinstance(core, np.ndarray) for core in weight):
        hint = ": give its .weight" if hasattr(weight, "weight") else ""
        raise TypeError("explain.cores: wanted a tensor train (a stored form, a Parameter that trains one, "
                        f"or a list of cores); got {getattr(weight, 'kind', type(weight).__name__)}{hint}")
    shapes = [core.shape for core in weight]
    fit = all(len(shape) == 4 and prod(shape) for shape in shapes)
    if not fit or [1, *(shape[3] for shape in shapes)] != [*(shape[0] for shape in shapes), 1]:
        raise ValueError(f"explain.cores: cores (r, i, o, s) begin and end with rank 1, and each begins with "
                         f"the rank that the last ends with; got {shapes}")
    return list(weight)
