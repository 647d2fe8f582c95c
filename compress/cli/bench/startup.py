"""What `import nn` adds to `import numpy`, in fresh processes."""

from __future__ import annotations

import statistics
import subprocess
import sys

from .row import AT_MOST, Row

__all__ = ["rows"]

ROUNDS = 21

PROGRAM = """
from time import perf_counter
start = perf_counter()
import numpy
middle = perf_counter()
import nn
print(middle - start, perf_counter() - middle)
"""


def rows(seconds: float) -> list[Row]:
    """One row, the median. Each process times both imports, one after the other: a drift hits both."""
    once = [sys.executable, "-c", PROGRAM]
    subprocess.run(once, check=True, capture_output=True)  # compiles and caches what is not yet
    runs = [
        subprocess.run(once, check=True, capture_output=True, text=True).stdout.split() for _ in range(ROUNDS)
    ]
    numpy, ours = ([float(run[i]) for run in runs] for i in (0, 1))
    context = {
        "least s": round(min(ours), 4),
        "import numpy s": round(statistics.median(numpy), 4),
        "rounds": ROUNDS,
    }
    value = round(statistics.median(ours), 4)
    return [Row("startup", "import nn, beyond import numpy", value, "s", 0.05, AT_MOST, context)]
