"""How many threads may share one product."""

from __future__ import annotations

from .arguments import integer
from .native import MOST_THREADS, lib


class threads:
    """Let up to `n` threads share the rows of each product: `threads(2)`, or `with threads(2):` for a block.

    For the whole process, from the call on; leaving a `with` block brings back what was before the call.
    Where nothing is said it is 1, or the environment's NN_THREADS. Results have the same bits for any number.
    The threads sleep between products, and end when the number is 1 again or the process ends.
    A product that is too small to gain runs on fewer: each thread has to get `least_cycles` of work, by the
    cost model of csrc/registry.c (if not given: what was measured to pay, csrc/pool.c).
    The NumPy specifications take no part in this: NumPy's BLAS has threads of its own.
    Raises TypeError or ValueError unless n is an integer in 1..256, least_cycles in 0..2⁶².
    """

    def __init__(self, n: int, *, least_cycles: int | None = None) -> None:
        n = integer("threads", "n", n, 1, MOST_THREADS)
        if least_cycles is not None:
            least_cycles = integer("threads", "least_cycles", least_cycles, 0, 1 << 62)
        self._wanted = n, least_cycles
        self._before = _change(*self._wanted)

    def __enter__(self) -> threads:
        _change(*self._wanted)   # no change, unless the object is kept and entered later
        return self

    def __exit__(self, *error: object) -> None:
        _change(*self._before)


def thread_count() -> int:
    """How many threads may share one product now."""
    return lib.nn_threads(0) if lib else 1


def _change(n: int, least_cycles: int | None) -> tuple[int, int | None]:
    """Set both; what they were before. None: no change."""
    if lib is None:
        return 1, None
    return lib.nn_threads(n), None if least_cycles is None else lib.nn_thread_cycles(least_cycles)
