"""Running things in several threads, at once or in turn, for the tests."""

import sys
import threading

import pytest

from nn import kernels
from nn.context import ambient

NEEDS_C = pytest.mark.skipif(kernels.why_not_c() is not None, reason="there is one implementation here")
NEEDS_AVX = pytest.mark.skipif(kernels.isa() == "scalar", reason="needs variants beyond scalar")


@pytest.fixture(autouse=True)
def often_switched():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)
    assert ambient.context.blocks == []
    assert (ambient.context.recording, ambient.context.tracer, ambient.context.lift) == (True, None, None)


def in_threads(*jobs):
    """Run all at once; what each returns, or the first error."""
    results, errors, go = [None] * len(jobs), [], threading.Barrier(len(jobs))

    def work(i):
        go.wait()
        try:
            results[i] = jobs[i]()
        except BaseException as error:    # raised where the test is
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(jobs))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]
    return results


def in_turn(*steps):
    """Run each (thread, action) when the one before has ended, in that thread."""
    turns = [threading.Event() for _ in range(len(steps) + 1)]
    turns[0].set()

    def work(me):
        for i, (thread, action) in enumerate(steps):
            if thread == me:
                assert turns[i].wait(10)
                try:
                    action()
                finally:
                    turns[i + 1].set()

    in_threads(*(lambda me=me: work(me) for me in {thread for thread, _ in steps}))
