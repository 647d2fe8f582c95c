"""Worker processes that train side by side, and the progress bar that they all move on."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

__all__ = ["Workers"]


class Workers:
    """Worker processes with one BLAS thread each, and a progress bar that they all move on.

    One thread each: a sum of floats in another order is another sum, and the ledger must not depend on
    how many cores a machine has.
    """

    def __init__(self, workers: int | None, epochs: int) -> None:
        self.workers, self.epochs = workers or _cores(), epochs

    def __enter__(self) -> Workers:
        from tqdm import tqdm

        context = multiprocessing.get_context("spawn")  # a forked BLAS may hang
        self.ticks = context.SimpleQueue()
        self.bar = tqdm(
            total=self.epochs,
            unit="epoch",
            desc="training",
            file=sys.stderr,
            leave=False,
            disable=sys.stderr is None or not sys.stderr.isatty(),
        )
        with _one_thread():
            self.pool = ProcessPoolExecutor(
                self.workers, context, initializer=_start_worker, initargs=(self.ticks,)
            )
            self.listener = threading.Thread(target=self._listen, daemon=True)
            self.listener.start()
            self.pool.submit(int).result()  # starts the workers' environment while it is set
        return self

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run `function(*arguments, tick)` in a worker."""
        with _one_thread():
            return self.pool.submit(_call, function, arguments)

    def alone(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run `function(*arguments)` in a worker; call it when the others have nothing to do."""
        self.bar.set_description("measuring")
        return self.pool.submit(function, *arguments).result()

    def _listen(self) -> None:
        while (epochs := self.ticks.get()) is not None:
            self.bar.update(min(epochs, self.epochs - self.bar.n))

    def __exit__(self, *failure: object) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)
        self.ticks.put(None)
        self.listener.join()
        self.bar.close()


_ticks: Any = None


def _start_worker(ticks: Any) -> None:
    global _ticks
    _ticks = ticks


def _call(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    return function(*arguments, _ticks.put)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes started inside see one thread, BLAS's and the kernels'."""
    blas = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    names = (*blas, "NN_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
