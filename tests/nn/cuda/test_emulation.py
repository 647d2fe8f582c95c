"""The emulation finds what is wrong with a kernel, in any order of its threads, and else nothing."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from nn import cuda
from nn.cuda import EmulationError, nothing

N = 64
X = np.arange(N, dtype=np.float32)
ORDERS = range(3)


@pytest.fixture(scope="module")
def toys():
    """The kernels of toys.cu, called as `toys(name, *arguments)`; the last array comes back."""
    if shutil.which(os.environ.get("CXX") or "c++") is None:
        pytest.skip("no C++ compiler")
    trial = cuda.Trial(Path(__file__).with_name("toys.cu").read_text(encoding="utf-8"))

    def call(name, *arguments, order=0):
        return getattr(trial, f"run_{name}")(*arguments, order=order, seed=5)[-1]

    call.trial = trial
    return call


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("barrier", "off"), [(1, 1), (1, 40), (0, 0), (2, 0)])
def test_what_is_in_order_passes(toys, order, barrier, off):
    got = toys("neighbours", X, nothing(N), barrier, off, order=order)
    np.testing.assert_array_equal(got, np.roll(X, -off))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("barrier", "off"), [(0, 1), (0, 32), (2, 32), (2, 1)])
def test_a_race(toys, order, barrier, off):
    """Without a barrier; or one of warps, where the neighbour is of another warp."""
    found = r"tile of 256 bytes, which (thread \d+ wrote|nothing has written|(thread \d+|other threads) read)"
    with pytest.raises(EmulationError, match=found):
        toys("neighbours", X, nothing(N), barrier, off, order=order)


@pytest.mark.parametrize(("off", "to", "said"), [
    (1, 0, "reads 4 bytes at byte 256 of the global array of 256 bytes"),
    (-1, 0, "reads 4 bytes at byte -4 of the global array of 256 bytes"),
    (0, 1, "writes 4 bytes at byte 256 of"), (0, -2, "writes 4 bytes at byte -8 of"),
    (100000, 0, r"reads 4 bytes at byte \d+ of")])
def test_out_of_global_arrays(toys, off, to, said):
    with pytest.raises(EmulationError, match=said):
        toys("moves", X, nothing(N), off, to, 1)


def test_vectors_lie_at_multiples_of_their_size(toys):
    np.testing.assert_array_equal(toys("moves", X, nothing(N), 0, 0, 4), X)
    with pytest.raises(EmulationError, match="reads 16 bytes at once from an address that is no multiple"):
        toys("moves", X, nothing(N), 1, 0, 4)


def test_reads_what_nothing_has_written(toys):
    with pytest.raises(EmulationError, match="byte 0 of the global array of 256 bytes, which nothing has"):
        toys("moves", nothing(N), nothing(N), 0, 0, 1)
    with pytest.raises(EmulationError, match="copy from the device: nothing has written byte 0"):
        toys("moves", X, nothing(N), 0, 0, 2)
    np.testing.assert_array_equal(toys("unwritten", nothing(N), 1, 0), 3)
    with pytest.raises(EmulationError, match="the shared array tile of 256 bytes, which nothing has written"):
        toys("unwritten", nothing(N), 2, 0)


@pytest.mark.parametrize(("beyond", "byte"), [(1, "256"), (-1, "-4"), (4, r"2\d\d"), (-20, r"-\d+")])
def test_out_of_shared_arrays(toys, beyond, byte):
    """Never the array beside."""
    with pytest.raises(EmulationError, match=f"reads 4 bytes at byte {byte} of the shared array tile"):
        toys("unwritten", nothing(N), 1, beyond)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("most", [1, 32, 63])
def test_a_barrier_that_some_never_reach(toys, order, most):
    with pytest.raises(EmulationError, match="waits in __syncthreads for threads that never come there"):
        toys("half", nothing(N), most, order=order)


@pytest.mark.parametrize("order", ORDERS)
def test_blocks(toys, order):
    """Are not in order, but for atomics."""
    np.testing.assert_array_equal(toys("sums", np.zeros(3, np.float32), 3, 1, 0, order=order), 32)
    np.testing.assert_array_equal(toys("sums", np.zeros(1, np.float32), 3, 0, 1, order=order), 96)
    with pytest.raises(EmulationError, match="which another block wrote with no barrier between"):
        toys("sums", np.zeros(1, np.float32), 3, 0, 0, order=order)


@pytest.mark.parametrize("order", ORDERS)
def test_asynchronous_copies(toys, order):
    """Are there for the thread that waits for them, and after a barrier for all."""
    want = 2 * X
    want[2:4] = 0                                              # of which 8 bytes of 16 were read
    np.testing.assert_array_equal(toys("copies", X, nothing(N), 0, 1, order=order), want)
    with pytest.raises(EmulationError, match=r"where a cp.async has not arrived"):
        toys("copies", X, nothing(N), 1, 1, order=order)
    with pytest.raises(EmulationError, match=r"no barrier between|not arrived|nothing has written"):
        toys("copies", X, nothing(N), 0, 0, order=order)


@pytest.mark.parametrize("order", ORDERS)
def test_a_product_of_the_warp(toys, order):
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 256, (16, 32)).astype(np.uint8), rng.integers(-128, 128, (8, 32)).astype(np.int8)
    out = np.zeros((16, 8), np.int32)
    got = toys("product", a, b, out, 48, 32, order=order)
    np.testing.assert_array_equal(got, a.astype(int) @ b.T)
    counts = toys.trial.counts
    assert (counts["products of a warp"], counts["bank conflicts"], counts["launches"]) == (1, 0, 1)
    assert counts["bytes of global memory read"] == 24 * 32 == counts["bytes of shared memory written"]
    assert counts["bytes of global memory written"] == out.nbytes
    toys("product", a, b, out, 128, 32, order=order)           # every row begins in the same bank
    assert toys.trial.counts["bank conflicts"] == 6 * 7
    with pytest.raises(EmulationError, match="waits in ldmatrix for threads that never come there"):
        toys("product", a, b, out, 48, 20, order=order)
    with pytest.raises(EmulationError, match="no multiple of 16"):
        toys("product", a, b, out, 40, 32, order=order)


def test_memory_of_the_host(toys):
    x = np.ones(N, np.float32)
    with pytest.raises(EmulationError, match="which is no memory of the device"):
        toys("moves", toys.trial.library.ffi.cast("void *", x.ctypes.data), nothing(N), 0, 0, 1)


def test_goes_on_after_a_failure(toys):
    for _ in range(2):
        with pytest.raises(EmulationError):
            toys("half", nothing(N), 3)
        np.testing.assert_array_equal(toys("moves", X, nothing(N), 0, 0, 1), X)
