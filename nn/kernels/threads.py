"""How many threads may share one product."""

from __future__ import annotations

from weakref import ref

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
        self._said: list[_Said] = []  # what this has said, the last of which a block that ends takes back
        self._say()

    def _say(self) -> None:
        with _lock:
            self._said.append(_Said(self))
            _list.append(self._said[-1])
            _obey()

    def __enter__(self) -> threads:
        with _lock:
            if not (self._said and _list[-1:] == self._said[-1:] and not _list[-1].entered):
                self._say()  # kept and entered later, or once more
            self._said[-1].entered = True
        return self

    def __exit__(self, *error: object) -> None:
        with _lock:
            _take_back(self._said.pop())
            if self._said and not self._said[-1].entered:  # the call, whose block this was
                _take_back(self._said.pop())
            _obey()


class _Said:
    """One call of threads(...), or one more block of the same object."""

    def __init__(self, who: threads) -> None:
        self.n, self.least_cycles, self.entered, self.who = who.n, who.least_cycles, False, ref(who)

    def stays(self) -> bool:
        """Whether this was a call and no block, and nobody is left who could make it one."""
        return not self.entered and self.who() is None


_lock = Brief()
_default = (lib.nn_threads(0), lib.nn_thread_cycles(0)) if lib else (1, 0)
if lib:
    lib.nn_thread_cycles(_default[1])    # asking for it has set it
_list: list[_Said] = []                  # what was said and not taken back; the last counts


def _take_back(one: _Said) -> None:
    """Out of the list with it, and with the calls without a block that were made in its block."""
    if one in _list:  # it may have been one of those
        begin = _list.index(one)
        _list.remove(one)
        while begin < len(_list) and not _list[begin].entered:
            del _list[begin]


def _obey() -> None:
    # Of calls that stay, one after the other, those before the last can never count again.
    _list[:] = [one for one, after in zip(_list, [*_list, None][1:], strict=True)
                if after is None or not (one.stays() and after.stays())]
    if lib is not None:
        n, least_cycles = _default
        for one in _list:
            n, least_cycles = one.n, least_cycles if one.least_cycles is None else one.least_cycles
        lib.nn_threads(n)
        lib.nn_thread_cycles(least_cycles)


def thread_count() -> int:
    """How many threads may share one product now."""
    return lib.nn_threads(0) if lib else 1
