"""Programs timed on a GPU beside the float network that they come from, there as well.

The time is the device's own, from the first step to the last: inputs lie there, and results are not brought
back. Turn by turn, each after a run that does not count. What has no kernel there crosses to the CPU and
back, and that takes time, too: how many steps do is said."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nn import cuda

from .. import Program


@dataclass(frozen=True)
class OnDevice:
    """milliseconds: the median of the rounds; faster: how many times as fast as the float network, the median
    of the rounds; both None on the emulation, of which times say nothing. crossing: steps that run on the
    CPU."""

    milliseconds: float | None
    faster: float | None
    crossing: int

    def cells(self) -> tuple[str, str]:
        """What the ledger prints of it."""
        if self.milliseconds is None:
            return self._crossing("emulated"), "–"
        return self._crossing(f"{self.milliseconds:.3f}"), f"{self.faster:.2f}"

    def _crossing(self, text: str) -> str:
        return f"{text}, {self.crossing} crossing" if self.crossing else text


def times(programs: Mapping[Path, Program], x: np.ndarray, rounds: int) -> dict[Path, OnDevice]:
    """The times of each on x, beside the first Program of the same name. Raises RuntimeError where there is
    no GPU."""
    bounds = {path: program.bind("cuda", crossing=True) for path, program in programs.items()}
    if cuda.library().emulated:
        return {path: OnDevice(None, None, len(bound.crossed)) for path, bound in bounds.items()}
    first: dict[str, Path] = {}
    for path, program in programs.items():
        first.setdefault(program.name, path)
    taken: dict[Path, list[tuple[float, float]]] = {path: [] for path in programs}
    for _ in range(rounds):
        for path, bound in bounds.items():
            taken[path].append((bounds[first[bound.name]].seconds(x), bound.seconds(x)))
    return {path: OnDevice(1000 * statistics.median(mine for _, mine in turns),
                           1.0 if path in first.values() else statistics.median(a / b for a, b in turns),
                           len(bounds[path].crossed)) for path, turns in taken.items()}
