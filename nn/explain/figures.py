"""The look of figures: colours, sizes that can be read on a projector, and names beside what they name.

    nn.explain.style()                             # for all figures from now on
    figure, axes = plt.subplots()
    axes.loglog(sizes, seconds, "o-", color=nn.explain.BLUE)
    nn.explain.note(axes, "ours", (sizes[-1], seconds[-1]), color=nn.explain.BLUE)
    nn.explain.ticks(axes, x=[1, 10, 1000])

The colours are of those that Okabe & Ito (2008) chose for all eyes; a marker or a word should say the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
GREY, DARK = "#8a8a8a", "#555555"    # for lines, and for words about them


def style(**options: Any) -> None:
    """Make figures large enough for a projector, without boxes around them, and laid out so that nothing is
    cut off. It changes matplotlib's rcParams; `options` are others to set, with _ for their dots
    (figure_dpi=120). Raises ModuleNotFoundError, which names the extra, without matplotlib; KeyError for an
    option that matplotlib does not have."""
    try:
        from matplotlib import rcParams
    except ModuleNotFoundError:
        raise ModuleNotFoundError("explain.style needs matplotlib, which the extra `plot` brings: pip "
                                  "install 'espalier[plot]'", name="matplotlib") from None
    names = {name.replace(".", "_"): name for name in rcParams}
    rcParams.update({
        "font.size": 13, "axes.titlesize": 13, "lines.linewidth": 2, "image.cmap": "gray_r", "figure.dpi": 90,
        "axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True})
    rcParams.update({names[option]: value for option, value in options.items()})


def note(axes: Any, text: str, at: tuple[float, float], shift: tuple[float, float] = (6, 0),
         **look: Any) -> None:
    """Write a few words beside a place of a figure, such as its name at the end of a line.

    text: the words. at: (x, y) of the `axes`. shift: by how many points the words are moved from there; if
    only sideways, they stand at the height of the place. look: what axes.annotate takes (color, ha, …)."""
    look.setdefault("va", "baseline" if shift[1] else "center")
    axes.annotate(text, at, shift, textcoords="offset points", **look)


def ticks(axes: Any, x: Iterable[float] = (), y: Iterable[float] = ()) -> None:
    """Put the marks of the `axes` at these numbers of `x` and `y`, written out (1,000) and without smaller
    ones between, as is wanted on a logarithmic scale. A dictionary gives the text of each: {0.5: "½"}."""
    for axis, places in ((axes.xaxis, x), (axes.yaxis, y)):
        numbers = list(places)
        if numbers:
            texts = places.values() if isinstance(places, Mapping) else [f"{n:,.12g}" for n in numbers]
            axis.set_ticks(numbers, list(texts))
            axis.set_ticks([], minor=True)


def picture(axes: Any, image: np.ndarray, title: str = "", signed: bool = False, **options: Any) -> None:
    """Show an `image` (rows, columns) in the `axes`, without a frame, below a `title`. signed: orange for
    numbers below 0, purple for those above, as strong as the largest is far from 0. options: what
    axes.imshow takes."""
    if signed:
        reach = float(np.abs(image).max()) or 1.0
        options = {"cmap": "PuOr", "vmin": -reach, "vmax": reach} | options
    axes.imshow(image, **options)
    axes.set_title(title)
    axes.set_axis_off()


def numbers(axes: Any, values: Any = None, form: str = "{:g}", **look: Any) -> None:
    """Write a number into each cell of the image that the `axes` show, white on dark cells, black on others.

    values: (rows, columns) what is written, None for what the image shows. form: how. Zeros are left out.
    look: what axes.text takes (fontsize, …). Raises ValueError for axes without an image, or for values of
    another shape than its."""
    if not axes.images:
        raise ValueError("explain.numbers: there is no image in these axes")
    shown = axes.images[-1]
    image = np.asarray(shown.get_array())
    values = image if values is None else np.asarray(values)
    if values.shape != image.shape[:2]:
        raise ValueError(f"explain.numbers: values have shape {values.shape}, the image {image.shape[:2]}")
    red, green, blue, _ = np.moveaxis(shown.to_rgba(image), -1, 0)
    dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
    for i, j in np.argwhere(values):
        axes.text(j, i, form.format(values[i, j]), color="white" if dark[i, j] else "black",
                  **{"ha": "center", "va": "center"} | look)
