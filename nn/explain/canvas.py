"""What all drawings share: matplotlib, which is an extra, axes measured in points, and colours.

The colours are of those that Tol (2021, "muted") chose so that colour-blind people can tell them apart; what
a colour says, a shape or a word says too.
"""

from __future__ import annotations

from typing import Any

INK, FAINT, PAPER = "#222222", "#8a8a8a", "#ffffff"
INDIGO, ROSE, GREEN, CYAN, SAND, TEAL, WINE = (
    "#332288", "#CC6677", "#117733", "#88CCEE", "#DDCC77", "#44AA99", "#882255")
FONT, SMALL, TITLE = 13, 10.5, 15    # sizes of text, in points
MARGIN = 10                          # around a drawing
WIDE = 0.602                         # of a character of the font for code, in units of its size


def axes(who: str, ax: Any, width: float, height: float) -> Any:
    """`ax`, or new axes that fill a figure of this size in inches.

    Raises ModuleNotFoundError, which names the extra, without matplotlib; TypeError for what are no axes.
    """
    try:
        from matplotlib import pyplot
    except ModuleNotFoundError:
        raise ModuleNotFoundError(f"{who} draws with matplotlib, which the extra `plot` brings: pip install "
                                  "'espalier[plot]'", name="matplotlib") from None
    if ax is None:
        ax = pyplot.figure(figsize=(width, height)).add_axes((0, 0, 1, 1))
    if not hasattr(ax, "transData"):
        raise TypeError(f"{who}: ax must be Axes of matplotlib, got {type(ax).__name__}")
    return ax


def in_points(who: str, ax: Any, width: float, height: float) -> tuple[Any, float]:
    """Axes without a frame, whose coordinates are points, (0, 0) at the upper left, with room for `width` by
    `height` of them and a margin; and the scale: 1, or less where axes were given that have less room."""
    width, height = width + 2 * MARGIN, height + 2 * MARGIN
    ax = axes(who, ax, width / 72, height / 72)
    box, dpi = ax.get_window_extent(), ax.figure.dpi
    has = box.width * 72 / dpi, box.height * 72 / dpi
    scale = min(1.0, has[0] / width, has[1] / height)
    ax.set_xlim(-MARGIN, max(width, has[0] / scale) - MARGIN)
    ax.set_ylim(max(height, has[1] / scale) - MARGIN, -MARGIN)
    ax.set_axis_off()
    return ax, scale


def titled(title: str) -> float:
    """The room that a title needs, in points."""
    return 0.6 * TITLE * len(title)


def bytes_said(count: float) -> str:
    """A number of bytes as people say it."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.{1 if count < 100 * size else 0}f} {unit}"
    return f"{count:.0f} B"


def shortened(text: str, most: int) -> str:
    """A text of `most` characters at most."""
    return text if len(text) <= most else f"{text[:most - 1]}…"
