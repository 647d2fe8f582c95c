"""Does a kernel touch only its own memory? Arrays flush against a forbidden page, each example in a fork.

A fork costs milliseconds and turns SIGSEGV into an ordinary failing example, which Hypothesis then shrinks.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import warnings
from collections.abc import Callable

import numpy as np

from . import guard
from .case import Case, for_all
from .laws import Implementation

SECONDS = 60                                                   # a call that takes longer hangs
Say = Callable[[str], None]

# How a matrix (or a stack of them) lies in memory: by rows, from the last row to the first, by columns. Each
# turns itself back.
TURNS: tuple[Callable[[np.ndarray], np.ndarray], ...] = (lambda a: a, lambda a: a[::-1], lambda a: a.T)


def why_not() -> str | None:
    """None where this can be checked, else the reason in one sentence (for a skip)."""
    if not hasattr(os, "fork"):
        return "a crash is caught in a fork, which this system does not have"
    return guard.why_not()


def stays_inside(f: Implementation, examples: int | None = None) -> None:
    """No read or write before the first or after the last byte of any argument, of `out`, of what is packed.

    Raises:
        AssertionError: naming the signal, what lay against the forbidden page, and the smallest case found.
    """
    for_all(f.domain.cases(), lambda case: survives(lambda say: touch_borders(f, case, say)), examples)


def touch_borders(f: Implementation, case: Case, say: Say) -> None:
    """Call f with everything at the end, then at the start of what may be touched; `say` what comes next."""
    result = f(case)
    result = result[0] if isinstance(result, tuple) else result    # of one, where there is `out`
    gap = case.seed % 3 * 4                                    # bytes between rows: none, 4 or 8
    turn = TURNS[case.seed % 5 % 3]

    def at_border(a: object, at: str) -> object:
        if not isinstance(a, np.ndarray):
            return a
        return turn(guard.guarded(turn(a), at, gap)) if a.ndim > 1 else guard.guarded(a, at)

    for at in ("end", "start"):
        say(f"arguments against the page at their {at}")
        args = [at_border(a, at) for a in case.args]
        options = {name: at_border(v, at) for name, v in case.options.items()}
        f(case.on(*args, **options))
        if f.takes_out:
            say(f"out against the page at its {at}")
            f(case, out=guard.guarded(result, at, gap))
        if f.pack is not None:
            say(f"packing what lies against the page at its {at}, and a call with it")
            packed = f.pack(*(at_border(w, at) for w in f.domain.to_pack(case)))
            f(case.on(args[0], packed, **options))


def survives(test: Callable[[Say], None]) -> None:
    """Run test(say) in a fork.

    Raises:
        AssertionError: the fork died of a signal or raised; with the last thing that was said.
    """
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)    # 3.12: of BLAS's threads, idle and not forked
        child = os.fork()
    if child == 0:
        run_and_exit(test, writer)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as pipe:
        said = pipe.read().splitlines()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code < 0:
        name = signal.Signals(-code).name
        raise AssertionError(f"{name}: {said[-1] if said else 'before the first call with guarded memory'}")
    if code > 0:
        raise AssertionError(f"exit code {code}: " + "\n".join(said[-2:]))


def run_and_exit(test: Callable[[Say], None], writer: int) -> None:
    """The child's side. It never returns to the caller's stack, whose clean-up belongs to the parent."""
    code = 1
    try:
        faulthandler.disable()                                 # the parent reports, in words
        signal.alarm(SECONDS)
        test(lambda text: os.write(writer, f"{text}\n".encode()))
        code = 0
    except BaseException as error:
        os.write(writer, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)
