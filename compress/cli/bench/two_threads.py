"""How much faster two threads are that share one product."""

import os
import time
from typing import Any

import numpy as np

from nn.kernels import Kernel, threads, why_not_c

from . import variants
from .row import Row
from .timing import context, interleaved, timer

NEVER = 1 << 60  # cycles that no product has: it runs on one thread, and the other one sleeps


def row(kernel: Kernel, measure: str, macs: int, seconds: float, bar: float, **arguments: Any) -> Row:
    """One row: `kernel(**arguments)` on two threads against one, by the wall clock."""
    measure, unit = f"{measure}, two threads", "× one thread"
    if why_not_c():
        return variants.no_kernels(kernel.name, measure, unit, bar)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cores < 2:
        return Row(kernel.name, measure, None, unit, bar, why="only one core may be used here")

    def call(least_cycles: int) -> np.ndarray:
        threads(2, least_cycles=least_cycles)
        return kernel(**arguments)

    with threads(2, least_cycles=NEVER):
        results = [call(NEVER).copy(), call(0).copy()]
        if not np.array_equal(*results):
            raise RuntimeError(f"bench: {kernel.name} has other bits on two threads than on one")
        contestants = {name: timer("call(cycles)", clock=time.perf_counter, call=call, cycles=cycles)
                       for name, cycles in (("one", NEVER), ("two", 0))}
        times = interleaved(contestants, seconds)
    beside = context(times, "GMAC/s", lambda seconds: macs / seconds / 1e9)
    ratio = round(times["one"].median / times["two"].median, 3)
    return Row(kernel.name, measure, ratio, unit, bar, context=beside)
