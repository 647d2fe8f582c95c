"""What `import nn` adds to `import numpy`, in fresh processes."""

from __future__ import annotations

import statistics
import subprocess
import sys

from .row import AT_MOST, Row

__all__ = ["rows"]

ROUNDS = 21

# Seconds of processor time, so that what else the machine does is left out; and by the wall clock.
PROGRAM = """
from time import perf_counter, process_time
start = process_time(), perf_counter()
import numpy
middle = process_time(), perf_counter()
import nn
end = process_time(), perf_counter()
print(*(b - a for one, two in ((start, middle), (middle, end)) for a, b in zip(one, two)))
"""


def rows(seconds: float) -> list[Row]:
    """One row, the median. Each process times both imports, one after the other: a drift hits both."""
    once = [sys.executable, "-c", PROGRAM]
    subprocess.run(once, check=True, capture_output=True)  # compiles and caches what is not yet
    runs = [subprocess.run(once, check=True, capture_output=True, text=True).stdout for _ in range(ROUNDS)]
    numpy, numpy_wall, ours, ours_wall = zip(*(map(float, run.split()) for run in runs), strict=True)
    context = {
        "best": round(min(ours), 4),
        "wall clock": round(statistics.median(ours_wall), 4),
        "import numpy": round(statistics.median(numpy), 4),
        "import numpy, wall clock": round(statistics.median(numpy_wall), 4),
        "rounds": ROUNDS,
    }
    value = round(statistics.median(ours), 4)
    return [Row("startup", "import nn, beyond import numpy", value, "s", 0.05, AT_MOST, context)]
