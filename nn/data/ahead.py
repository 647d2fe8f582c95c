"""Prefetching: items are made in the background while those before them are used."""

from collections.abc import Iterable, Iterator
from contextvars import copy_context
from queue import SimpleQueue
from threading import Semaphore, Thread
from typing import TypeVar

from ..arguments import count, instance
from ..context import ambient, within
from ..kernels.kernel import forcing

T = TypeVar("T")


def prefetch(items: Iterable[T], ahead: int = 2) -> Iterator[T]:
    """The same items in the same order, up to `ahead` of them made by a thread before they are needed.

    NumPy lets other threads run while it works, so that augmentation and training share two cores. An error
    of `items` is raised here where its item would come. The thread begins with the first item, and ends when
    the iterator is closed or garbage. Raises: TypeError for what is not iterable, ValueError for ahead < 1.
    """
    instance("prefetch", "items", items, Iterable, "iterable")
    return _prefetched(items, count("prefetch", "ahead", ahead))


def _prefetched(items: Iterable[T], ahead: int) -> Iterator[T]:
    ready: SimpleQueue = SimpleQueue()  # of (item, None), at last (None, StopIteration or another error)
    room, stopped = Semaphore(ahead), False
    here = ambient.context
    as_here = within("recording", here.recording), forcing(here.forced)  # but not the tracer

    def draw() -> None:
        try:
            with as_here[0], as_here[1]:
                source = iter(items)
                while room.acquire() and not stopped:
                    ready.put((next(source), None))
        except BaseException as error:  # for the thread that waits
            ready.put((None, error))

    thread = Thread(target=copy_context().run, args=(draw,), name="prefetch", daemon=True)  # np.errstate

    def end() -> None:
        nonlocal stopped
        stopped = True
        room.release()
        if thread.ident is not None:
            thread.join()

    try:
        try:
            thread.start()
            while True:
                item, error = ready.get()
                if isinstance(error, StopIteration):
                    return
                if error is not None:
                    raise error
                room.release()
                yield item
        finally:
            end()
    except BaseException:  # Ctrl-C may have come within end()
        end()
        raise
