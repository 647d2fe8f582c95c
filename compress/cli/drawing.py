"""What the charts of experiments share: a PNG, lines of means with their standard errors, seeds in words.

They need the extra `plot`."""

from __future__ import annotations

import io
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nn.files import write_bytes

from .cells import standard_error
from .charts import STYLE


def write_png(figure: Callable[..., Any], path: Path, *arguments: Any) -> None:
    """Write the matplotlib figure that figure(*arguments) gives. Nothing without matplotlib."""
    try:
        from matplotlib import rc_context
    except ModuleNotFoundError:
        return
    with rc_context(STYLE):
        buffer = io.BytesIO()
        figure(*arguments).savefig(buffer, format="png", dpi="figure")
        write_bytes(path, buffer.getvalue())


def means(axes: Any, x: Sequence[float], points: Sequence[Sequence[float]], **look: Any) -> None:
    """A line through the mean of each of `points`, which stand at x, with bars of one standard error."""
    errors = [standard_error(list(some)) if len(some) > 1 else 0.0 for some in points]
    axes.errorbar(x, [statistics.fmean(some) for some in points], yerr=errors,
                  **{"markersize": 8, "linewidth": 1.8, "elinewidth": 1.4, **look})


def percents(axes: Any) -> None:
    """A grid, ticks of x where they were set alone, and % along y."""
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:g} %")
    axes.grid(alpha=0.3, linewidth=0.8)
    axes.set_axisbelow(True)


def over_seeds(count: int) -> str:
    """Over how many seeds means are, in words."""
    return f"mean of {count} seed{'s' * (count != 1)}, bars: standard error"
