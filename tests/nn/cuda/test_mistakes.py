"""What an emulation is easily wrong about: faults that it must find, right kernels that only look wrong."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from nn import cuda
from nn.cuda import CudaError, EmulationError, nothing

N = 64
X, ZEROS = np.arange(N, dtype=np.float32), np.zeros(N, np.float32)
each_order = pytest.mark.parametrize("order", range(3))


@pytest.fixture(scope="module")
def run():
    """The kernels of mistakes.cu, called as `run(name, *arguments)`; the last array comes back."""
    if shutil.which(os.environ.get("CXX") or "c++") is None:
        pytest.skip("no C++ compiler")
    trial = cuda.Trial(Path(__file__).with_name("mistakes.cu").read_text(encoding="utf-8"))

    def call(name, *arguments, order=0):
        return getattr(trial, f"run_{name}")(*arguments, order=order, seed=3)[-1]

    return call


@each_order
def test_reads_of_a_warp_that_has_met(run, order):
    """Are in order with what comes after the meeting, whoever has read again since."""
    want = X[:32].copy()
    want += want.reshape(-1, 2)[:, ::-1].ravel()
    np.testing.assert_array_equal(run("exchange", X, nothing(32), order=order), want)


@each_order
@pytest.mark.parametrize(("blocks", "writes"), [(1, 0), (1, 1), (2, 0)])
def test_after_atomics_of_others(run, blocks, writes, order):
    """One's own is not the only one."""
    with pytest.raises(EmulationError, match="with no barrier between"):
        run("add_and_touch", X, ZEROS, blocks, writes, order=order)


@pytest.mark.parametrize("how", range(5))
def test_copies_of_structures(run, how):
    """Are looked at whole: assigned, as an argument, as a result, by memcpy, by memset."""
    run("six", X, ZEROS, N - 6, N - 6, how)
    if how != 4:
        with pytest.raises(EmulationError, match=r"reads \d+ bytes at byte \d+ of the global array of 256"):
            run("six", X, ZEROS, N - 5 if how != 1 else N, 0, how)
    if how != 2:
        with pytest.raises(EmulationError, match="writes 24 bytes at byte 236 of the global array of 256"):
            run("six", X, ZEROS, 0, N - 5, how)


@each_order
def test_bytes_of_a_word(run, order):
    got = run("bytes", X, ZEROS, 0, order=order)
    np.testing.assert_array_equal(got.view(np.uint8)[:16], np.arange(16))
    with pytest.raises(EmulationError, match=r"byte \d of the global array of .*, which thread \d wrote"):
        run("bytes", X, ZEROS, 1, order=order)


def test_variables_of_the_program(run):
    np.testing.assert_array_equal(run("variable", X, nothing(32), 0), 2)
    with pytest.raises(EmulationError, match=r"writes 0x.* which is no memory of the device"):
        run("variable", X, nothing(32), 1)


@each_order
@pytest.mark.parametrize(("calls", "large"), [(2000, 0), (0, 1)])
def test_a_stack_that_is_too_deep(run, calls, large, order):
    with pytest.raises(EmulationError, match="needs more stack than 57344 bytes"):
        run("stacks", X, nothing(32), calls, large, order=order)
    np.testing.assert_array_equal(run("stacks", X, nothing(32), 3, 0, order=order), 3 * X[:32])


def test_shared_arrays_of_one_name(run):
    np.testing.assert_array_equal(run("two_tiles", X, nothing(32)), 2 * X[31::-1])


@pytest.mark.parametrize(("blocks", "rows", "high", "nbytes", "allowed"), [
    (0, 1, 1, 0, 0), (1, 0, 1, 0, 0), (2**31, 1, 1, 0, 0), (1, 65536, 1, 0, 0), (1, 1, 65, 0, 0),
    (1, 1, 0, 0, 0), (1, 1, 129, 0, 0), (1, 1, 1, (48 << 10) + 1, 0), (1, 1, 1, 60000, 59999)])
def test_launches_that_no_device_takes(run, blocks, rows, high, nbytes, allowed):
    with pytest.raises(EmulationError, match=rf"no device takes a grid of \({blocks}, {rows}, 1\) blocks"):
        run("sized", X, nothing(8), blocks, rows, high, nbytes, allowed)
    np.testing.assert_array_equal(run("sized", X, nothing(8), 300, 2, 64, 60000, 60000), X[:8])


def test_more_shared_memory_than_there_is(run):
    with pytest.raises(CudaError, match="invalid argument"):
        run("sized", X, nothing(8), 1, 1, 1, 0, (227 << 10) + 1)


@pytest.mark.parametrize("shuffles", [0, 1])
def test_a_part_of_a_warp(run, shuffles):
    run("half_a_warp", X, nothing(32), 0xFFFFFFFF, shuffles)
    with pytest.raises(EmulationError, match="with the lanes 0xffff of its warp: the emulation knows whole"):
        run("half_a_warp", X, nothing(32), 0xFFFF, shuffles)


@pytest.mark.long
def test_waits_for_what_never_comes(run):
    with pytest.raises(EmulationError, match="goes on for 268435456 accesses to memory and waits for nobody"):
        run("spins", X, ZEROS - 1)


@pytest.mark.parametrize(("to", "read", "commits", "overwrites", "said"), [
    (0, 16, 0, 0, "where a cp.async has not arrived"), (0, 16, 1, 1, "writes byte 12 .* has not arrived"),
    (1, 16, 1, 0, "no multiple of that"), (0, 17, 1, 0, "cp.async reads 17 bytes of 16"),
    (0, -1, 1, 0, "cp.async reads -1 bytes of 16"), (8, 16, 1, 0, "writes 16 bytes at byte 32 of the sh")])
def test_copies_that_are_wrong(run, to, read, commits, overwrites, said):
    assert run("one_copy", X, nothing(1), 0, 16, 1, 0) == X[0]
    with pytest.raises(EmulationError, match=said):
        run("one_copy", X, nothing(1), to, read, commits, overwrites)


@each_order
def test_a_ring_of_tiles(run, order):
    """A tile is filled anew when all have read it, and read when its copy has been waited for."""
    for stages, but, meets in [(2, 1, 1), (3, 1, 0), (3, 2, 1), (4, 2, 0)]:
        if but <= stages - 2:
            got = run("ring", X, nothing(32), stages, but, meets, order=order)
            np.testing.assert_array_equal(got, 6 * X[31::-1])
        else:
            with pytest.raises(EmulationError, match=r"not arrived|no barrier|nothing has written"):
                run("ring", X, nothing(32), stages, but, meets, order=order)
