"""Threads that share a product: the number, the environment, fork, the end, and where there are none.

That the bits do not depend on them is a law (nn/testing/laws.py).
"""

import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from nn.kernels import native, qgemm, thread_count, threads
from tests.nn.kernels.test_dispatch import child

NEEDS_C = pytest.mark.skipif(native.lib is None, reason="there are no C kernels to run on threads")
TASKS = Path("/proc/self/task")

WORK = """
import os, numpy as np
from nn.kernels import qgemm, threads
a, b = np.full((64, 512), 3, np.uint8), qgemm.pack(np.ones((512, 64), np.int8))
def right():
    return bool((qgemm(a, b) == 3 * 512).all())
"""


@pytest.fixture(autouse=True)
def before_and_after():
    count = thread_count()
    yield
    assert thread_count() == count


def running():
    return len(list(TASKS.iterdir()))


def product(m=64):
    a, b = np.full((m, 512), 3, np.uint8), np.ones((512, 64), np.int8)
    assert (qgemm(a, b) == 3 * 512).all()


@NEEDS_C
def test_a_call_lasts_and_a_block_ends():
    with threads(1):
        threads(3)
        assert thread_count() == 3
        with threads(2):
            assert thread_count() == 2
        assert thread_count() == 3
        kept = threads(4)
        threads(2)
        with kept as entered:
            assert entered is kept
            assert thread_count() == 4
        assert thread_count() == 3                             # what it was before the call
        with pytest.raises(ZeroDivisionError), threads(5):
            raise ZeroDivisionError
        assert thread_count() == 3


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ((0,), ValueError, r"threads: n must be in 1\.\.256, got 0"),
    ((257,), ValueError, r"threads: n must be in 1\.\.256, got 257"),
    ((2.0,), TypeError, "threads: n must be an integer, got float"),
    ((None,), TypeError, "threads: n must be an integer, got NoneType")])
def test_bad_number(arguments, error, message):
    with pytest.raises(error, match=message):
        threads(*arguments)


def test_bad_least_cycles():
    with pytest.raises(ValueError, match=r"threads: least_cycles must be in 0\.\."):
        threads(2, least_cycles=-1)
    with pytest.raises(TypeError, match="threads: least_cycles must be an integer, got float"):
        threads(2, least_cycles=1e6)


def test_environment():
    ask = "from nn.kernels import thread_count; print(thread_count())"
    count = "3" if native.lib else "1"
    assert child(ask, NN_THREADS="3").stdout.strip() == count
    assert child(ask, NN_THREADS="").stdout.strip() == "1"
    for bad in ("0", "257", "-1", "two", "2.0", "²", " 2"):
        run = child(ask, NN_THREADS=bad)
        assert f"ValueError: NN_THREADS must be an integer in 1..256, got {bad!r}" in run.stderr


def test_on_numpy_there_is_one():
    run = child("from nn.kernels import threads, thread_count\nwith threads(2): print(thread_count())",
                NN_BACKEND="numpy")
    assert run.stdout.strip() == "1"


@NEEDS_C
@pytest.mark.skipif(not TASKS.exists(), reason="counts threads in /proc")
def test_threads_start_when_needed_and_end():
    with threads(1):
        before = running()
        with threads(3):
            product(m=4)                                       # too small
            assert running() == before
            with threads(3, least_cycles=0):
                product()
                assert running() == before + 2
                product()
                assert running() == before + 2
        assert running() == before


@NEEDS_C
@pytest.mark.skipif(not TASKS.exists(), reason="counts threads in /proc")
def test_idle_threads_sleep():
    with threads(3, least_cycles=0):
        product()
        start = time.process_time()
        time.sleep(0.2)
        assert time.process_time() - start < 0.05


@NEEDS_C
def test_several_programs_threads_at_once():
    """One has the pool, the others compute alone."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (97, 300), np.uint8), qgemm.pack(rng.integers(-128, 128, (300, 70), np.int8))
    want, wrong = qgemm(a, b), []

    def work():
        for _ in range(100):
            if not np.array_equal(qgemm(a, b), want):
                wrong.append(1)

    with threads(2, least_cycles=0):
        workers = [threading.Thread(target=work) for _ in range(4)]
        for one in workers:
            one.start()
        for count in (1, 3, 2, 1, 2):                          # changed under them
            with threads(count, least_cycles=0):
                time.sleep(0.002)
        for one in workers:
            one.join()
    assert not wrong


@NEEDS_C
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""),
                    reason="AddressSanitizer's locks may be held in a fork of a process with threads")
def test_a_fork_has_threads_of_its_own():
    run = child(WORK + """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)            # Python's, of any fork while threads are there
with threads(3, least_cycles=0):
    assert right()
    children = []
    for _ in range(5):
        pid = os.fork()
        if pid == 0:
            good = right() and right()
            threads(1)
            os._exit(0 if good and right() else 1)
        children.append(pid)
        assert right()
    print([os.waitpid(pid, 0)[1] for pid in children])
""")
    assert run.stdout.strip() == "[0, 0, 0, 0, 0]", run.stderr


@NEEDS_C
@pytest.mark.parametrize("ending", ["", "os._exit(0)", "sys.exit(0)",
                                    "threading.Thread(target=forever, daemon=True).start()"])
def test_a_process_ends_with_threads_asleep_or_at_work(ending):
    run = child(WORK + f"""
import sys, threading
def forever():
    while True: right()
threads(4, least_cycles=0)
print(right(), flush=True)
{ending}
""")
    assert (run.returncode, run.stdout.strip(), run.stderr) == (0, "True", "")


@NEEDS_C
@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_where_no_thread_can_be_started_one_does_it_all():
    run = child(WORK + """
import resource
right()
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + (4 << 20)             # less than the stack of a thread
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
with threads(4, least_cycles=0):
    print(right(), len(os.listdir("/proc/self/task")))
""", OPENBLAS_NUM_THREADS="1")
    assert run.stdout.strip() == "True 1", run.stderr
