"""What `import nn` adds to `import numpy`, in fresh processes."""

import statistics
import subprocess
import sys
from collections.abc import Iterator

from .row import AT_MOST, Row

ROUNDS = 21

# Seconds of processor time, so that what else the machine does is left out; and by the wall clock.
PROGRAM = """
from time import perf_counter, process_time
def now():
    return process_time(), perf_counter()
times = [now()]
import numpy
times.append(now())
import nn
times.append(now())
import nn.kernels
times.append(now())
print(*(b - a for one, two in zip(times, times[1:]) for a, b in zip(one, two)))
"""


def rows(seconds: float) -> Iterator[Row]:
    """One row, the median. Each process times all imports, one after the other: a drift hits all."""
    once = [sys.executable, "-W", "ignore", "-c", PROGRAM]
    subprocess.run(once, check=True, capture_output=True)  # compiles and caches what is not yet
    runs = [subprocess.run(once, check=True, capture_output=True, text=True).stdout for _ in range(ROUNDS)]
    numpy, numpy_wall, ours, ours_wall, kernels, _ = zip(*(map(float, run.split()) for run in runs),
                                                         strict=True)
    context = {"best": round(min(ours), 4), "wall clock": round(statistics.median(ours_wall), 4),
               "then nn.kernels": round(statistics.median(kernels), 4),
               "import numpy": round(statistics.median(numpy), 4),
               "numpy by the wall clock": round(statistics.median(numpy_wall), 4), "rounds": ROUNDS}
    value = round(statistics.median(ours), 4)
    yield Row("startup", "import nn, beyond import numpy", value, "s", 0.05, AT_MOST, context)
