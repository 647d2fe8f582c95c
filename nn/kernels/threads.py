"""How many threads may share one product."""

from __future__ import annotations

from ..context import Brief
from .arguments import integer
from .native import MOST_THREADS, lib


class threads:
    """Let up to `n` threads share the rows of each product: `threads(2)`, or `with threads(2):` for a block.

    For the whole process, from the call on; leaving a `with` block brings back what was before the call.
    Where blocks of several threads cross, the call that was made last counts, of those that have not ended.
    Where nothing is said it is 1, or the environment's NN_THREADS. Results have the same bits for any number.
    The threads sleep between products, and end when the number is 1 again or the process ends.
    A product that is too small to gain runs on fewer: each thread has to get `least_cycles` of work, by the
    cost model of csrc/registry.c (if not given: what was measured to pay, csrc/pool.c).
    The NumPy specifications take no part in this: NumPy's BLAS has threads of its own.
    Raises TypeError or ValueError unless n is an integer in 1..256, least_cycles in 0..2⁶².
    """

    def __init__(self, n: int, *, least_cycles: int | None = None) -> None:
        self.n = integer("threads", "n", n, 1, MOST_THREADS)
        if least_cycles is not None:
            least_cycles = integer("threads", "least_cycles", least_cycles, 0, 1 << 62)
        self.least_cycles = least_cycles
        self._entered: list[_Block] = []
        with _lock:    # what counted before the call, and the block in which it was made
            self._call = _process.counts, *_process.blocks[-1:]
            self._say()

    def _say(self) -> None:
        """Let this count from now on."""
        least_cycles = _process.counts[1] if self.least_cycles is None else self.least_cycles
        _process.obey((self.n, least_cycles))

    def __enter__(self) -> threads:
        with _lock:
            found, *inside = self._call or (None, None)    # of the first block, if that has not ended
            block = _Block(found if {*inside} <= {*_process.blocks} else _process.counts)
            self._call = None
            self._say()
            self._entered.append(block)
            _process.blocks.append(block)
        return self

    def __exit__(self, *error: object) -> None:
        with _lock:
            block, blocks = self._entered.pop(), _process.blocks
            at = blocks.index(block)
            blocks.remove(block)
            if at == len(blocks):
                _process.obey(block.found)
            else:    # the next one, which has not ended, will go back to that
                blocks[at].found = block.found


class _Block:
    """A `with` block that has not ended, and what counted before it."""

    def __init__(self, found: tuple[int, int]) -> None:
        self.found = found


class _Process:
    """What counts now, (threads, least cycles), and the blocks that have not ended, as they began."""

    def __init__(self) -> None:
        self.blocks: list[_Block] = []
        self.obey((lib.nn_threads(0), lib.nn_thread_cycles(0)) if lib else (1, 0))    # asking has set them

    def obey(self, counts: tuple[int, int]) -> None:
        """Let these count."""
        self.counts = counts
        if lib is not None:
            lib.nn_threads(counts[0])
            lib.nn_thread_cycles(counts[1])


_lock, _process = Brief(), _Process()


def thread_count() -> int:
    """How many threads may share one product now."""
    return lib.nn_threads(0) if lib else 1
