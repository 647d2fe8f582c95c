"""Worker processes that train side by side, and the progress bar that they all move on."""

from __future__ import annotations

import os
import pickle
import queue
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any

from ..interrupt import on_interrupt
from . import processes
from .worker import DONE, TICK


class Workers:
    """Worker processes with one BLAS thread each, and a progress bar that they all move on.

    One thread each: a sum of floats in another order is another sum, and the ledger must not depend on
    how many cores a machine has."""

    def __init__(self, workers: int | None, epochs: int) -> None:
        self.workers, self.epochs = workers or _cores(), epochs
        self.processes: list[Any] = []

    def __enter__(self) -> Workers:
        from tqdm import tqdm

        tqdm.set_lock(threading.RLock())  # its default starts one more process
        self.bar = tqdm(total=self.epochs, unit="epoch", desc="training", file=sys.stderr, leave=False,
                        disable=sys.stderr is None or not sys.stderr.isatty())
        self.moving = threading.Lock()
        self.entered = ExitStack()
        self.entered.enter_context(on_interrupt(self._kill))
        self.threads = ThreadPoolExecutor(self.workers)  # each waits for the answers of one process at a time
        self.idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(self.workers):
            self.processes.append(processes.start(f"{__package__}.worker"))
            self.idle.put(self.processes[-1])
        return self

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run `function(*arguments, tick)` in a worker, which may call tick(epochs done)."""
        return self.threads.submit(self._ask, function, arguments)

    def alone(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run `function(*arguments)` in a worker; call it when the others have nothing to do."""
        self.bar.set_description("measuring")
        return self.submit(_without_ticks, function, arguments).result()

    def _ask(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        process = self.idle.get()
        try:
            pickle.dump(pickle.dumps((function, arguments)), process.stdin)
            process.stdin.flush()
            while (answer := pickle.load(process.stdout))[0] == TICK:
                with self.moving:
                    self.bar.update(min(answer[1], self.epochs - self.bar.n))
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            raise RuntimeError(f"a worker process ended with code {process.wait()}") from error
        finally:
            self.idle.put(process)
        kind, value = answer
        if kind == DONE:
            return value
        error, where = value
        raise error from _Elsewhere(where)

    def _kill(self) -> None:
        for process in self.processes:
            processes.end(process)

    def __exit__(self, *failure: object) -> None:
        self._kill()  # they have no work, or work whose result is no longer wanted
        self.threads.shutdown(wait=True, cancel_futures=True)
        for process in self.processes:
            process.wait()
            process.stdout.close()
            with suppress(BrokenPipeError):  # what was not sent before
                process.stdin.close()
        self.bar.close()
        self.entered.close()


class _Elsewhere(Exception):
    """The traceback of an exception as it was in its own process."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def _without_ticks(function: Callable[..., Any], arguments: tuple[Any, ...], tick: object) -> Any:
    return function(*arguments)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
