"""What a notebook begins with: whether its run is a short one, and the numbers that its reader predicted.

A wrong guess that was written down teaches more than a right one that one thought of afterwards; so a
notebook asks before it measures, and shows both at its end.
"""

from __future__ import annotations

import os
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

FAST = bool(os.environ.get("NN_FAST"))    # a short run, to see that every cell works: smaller trainings
HEADS = {"taught": "taught", "yours": "you", "theory": "derived", "measured": "measured"}


class _Row(NamedTuple):
    """The numbers about one thing; None for one that nobody gave."""

    taught: Any
    yours: Any
    theory: Any
    measured: Any


class Guesses:
    """The reader's numbers beside the measured ones: each is printed when it is measured, and print(guesses)
    lists all.

        guesses = nn.explain.Guesses()
        guesses.compare("weights in fc", layer.weight.size, yours=2000, theory=256 * 10)
        print(guesses)
    """

    def __init__(self) -> None:
        self.rows: dict[str, _Row] = {}

    def compare(self, what: str, measured: float, yours: float | None = None, theory: float | None = None,
                taught: float | None = None) -> None:
        """Print a `measured` number beside the reader's guess, `yours`, beside what a derivation says,
        `theory`, and beside what is `taught`, where there are such; and keep them, under `what` it is. A cell
        that runs again replaces its own. Raises TypeError for what is no number, and names it."""
        row = _Row(taught, yours, theory, measured)
        for name, value in row._asdict().items():
            number = isinstance(value, Real | np.ndarray) and np.ndim(value) == 0
            if not (number or (value is None and name != "measured")):
                raise TypeError(f"compare: {name} must be a number, got {value!r} ({what})")
        self.rows[what] = row
        said = zip(("taught", "you said", "derived", "measured"), row, strict=True)
        print(f"{what}: " + ", ".join(f"{who} {_written(n)}" for who, n in said if n is not None))

    def __str__(self) -> str:
        """All of them, a line each: columns that nobody has filled are left out."""
        if not self.rows:
            return "nothing was compared yet"
        shown = [name for name in HEADS if name in ("yours", "measured") or
                 any(getattr(row, name) is not None for row in self.rows.values())]
        wide = max(map(len, self.rows))
        lines = [" " * wide + "".join(f"{HEADS[name]:>12}" for name in shown)]
        lines += [f"{what:{wide}}" + "".join(f"{_written(getattr(row, name)):>12}" for name in shown)
                  for what, row in self.rows.items()]
        return "\n".join(lines)


def _written(number: Any) -> str:
    """Four digits of a number."""
    return "-" if number is None else f"{np.asarray(number).item():.4g}"
