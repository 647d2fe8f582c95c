"""Arrays of the device: what crosses, what is refused, and memory that comes back."""

import copy
import gc
import threading

import numpy as np
import pytest

from nn import cuda
from nn.cuda.allocator import LARGE, SMALL, rounded
from nn.cuda.array import allocator
from nn.kernels import kmeans1d, qgemm, use


@pytest.mark.parametrize("dtype", ["f4", "f2", "f8", "i1", "u1", "i4", "u4", "i8", "?"])
@pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 0, 2), (2, 3, 5)])
def test_there_and_back(device, dtype, shape):
    x = np.random.default_rng(1).integers(0, 99, shape).astype(dtype)
    there = device.to_device(x)
    assert (there.shape, there.dtype, there.ndim, there.size, there.nbytes) == (
        x.shape, x.dtype, x.ndim, x.size, x.nbytes)
    back = there.numpy()
    assert back.dtype == x.dtype
    np.testing.assert_array_equal(back, x)
    np.testing.assert_array_equal(device.constant(x).host, x)


def test_views_cross_whole(device):
    x = np.arange(20.0).reshape(4, 5)
    for view in (x.T, x[::-1], x[:, ::2], x[1:, 1:]):
        np.testing.assert_array_equal(device.to_device(view).numpy(), view)


def test_reshape(device):
    x = device.to_device(np.arange(12))
    np.testing.assert_array_equal(x.reshape(3, -1).numpy(), np.arange(12).reshape(3, 4))
    np.testing.assert_array_equal(x.reshape((2, 6)).numpy(), np.arange(12).reshape(2, 6))
    for wrong in [(5, 2), (-1, 5), (-1, -1), (-3, -4), (0, -1)]:
        with pytest.raises(ValueError, match=r"reshape: \(12,\) has not as many numbers as"):
            x.reshape(*wrong)
    with pytest.raises(ValueError, match="view: float32 is not of the size of int64"):
        x.view(np.float32)
    with pytest.raises(TypeError):
        x.reshape(3.5, 4)


def test_views_of_a_constant_are_constant(device):
    x = device.constant(np.arange(12, dtype=np.int32))
    for view in (x.reshape(3, 4), x.view(np.float32)):
        np.testing.assert_array_equal(view.host, view.numpy())
        with pytest.raises(ValueError, match="set: the array is a constant"):
            view.set(view.numpy())


@pytest.mark.parametrize("wrong", [np.array(["a"]), np.array([None]), np.array([1j]), np.zeros(2, ">f4")])
def test_what_is_no_number_stays_here(device, wrong):
    with pytest.raises(TypeError, match="to_device: numbers are wanted, got"):
        device.to_device(wrong)


def test_nothing_crosses_by_itself(device):
    x = device.to_device(np.ones(3, np.float32))
    for crosses in (np.asarray, np.array, float, np.ones(3).__matmul__):
        with pytest.raises(TypeError):
            crosses(x)
    assert isinstance(np.sum(x), cuda.DeviceArray)             # which is computed there
    with pytest.raises(TypeError, match="kmeans1d: values must be a NumPy array, got DeviceArray"):
        kmeans1d(x, 2)                                         # which runs on no device


def test_set(device):
    x = device.empty((2, 3))
    x.set(np.ones((2, 3), np.float32))
    np.testing.assert_array_equal(x.numpy(), 1)
    for wrong in (np.ones((3, 2), np.float32), np.ones((2, 3)), 1.0):
        with pytest.raises(ValueError, match=r"set: wanted float32\(2, 3\), got"):
            x.set(wrong)
    with pytest.raises(ValueError, match="set: the array is a constant"):
        device.constant(np.ones(2)).set(np.ones(2))
    with pytest.raises(ValueError, match=r"empty: sizes must not be negative, got \(2, -1\)"):
        device.empty((2, -1))


def test_memory_comes_back_and_is_used_again(device):
    gc.collect()
    device.empty_cache()
    before = device.memory()["in_use"]
    x = device.empty(1000)
    address = x.address
    assert device.memory()["in_use"] == before + rounded(4000)
    part = x.reshape(10, 100)
    del x
    gc.collect()
    assert device.memory()["in_use"] == before + rounded(4000)  # a view holds it
    del part
    assert device.memory() == {"in_use": before, "kept": rounded(4000)}
    with cuda.Stream():
        assert device.empty(999).address != address            # what used it may not be done in that stream
    assert device.empty(999).address == address
    device.empty_cache()
    assert device.memory()["kept"] == 0


def test_an_array_may_go_at_any_moment(device):
    """Even while its thread is about to ask for another one."""
    there = [device.empty(10)]

    def goes():
        with allocator()._lock:
            there.clear()

    before = device.memory()["in_use"]
    thread = threading.Thread(target=goes, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert device.memory()["in_use"] == before - rounded(40)


def test_sizes_of_blocks():
    assert [rounded(n) for n in (0, 1, SMALL, SMALL + 1, LARGE // 2, LARGE // 2 + 1, LARGE + 1)] == [
        SMALL, SMALL, SMALL, 2 * SMALL, LARGE // 2, LARGE, 2 * LARGE]


def test_out_of_memory_is_an_error_and_the_process_goes_on(device):
    kept = device.to_device(np.arange(5))
    room = device.library().memory
    with pytest.raises(cuda.OutOfMemory, match=r"no room for [\d,]+ bytes on .+ are in use"):
        device.empty(2 * room, np.uint8)
    assert issubclass(cuda.OutOfMemory, MemoryError)
    np.testing.assert_array_equal(kept.numpy(), np.arange(5))
    half = device.empty(room * 6 // 10, np.uint8)
    with pytest.raises(cuda.OutOfMemory):
        device.empty(room * 6 // 10, np.uint8)
    del half
    device.empty(room * 7 // 10, np.uint8)                     # what was kept is given back for it


A = np.random.default_rng(2).integers(0, 256, (9, 20)).astype(np.uint8)
B = np.random.default_rng(3).integers(-128, 128, (20, 5)).astype(np.int8)


def test_a_kernel_runs_where_its_arguments_lie(device):
    want = qgemm(A, B, a_zero=3)
    a, b = device.to_device(A), qgemm.pack(B)
    operand = device.DEVICE_KERNELS["qgemm"].pack(b)
    assert operand.nbytes >= B.nbytes
    for x, w in [(a, B), (a, b), (a, operand), (A, operand)]:
        y = qgemm(x, w, a_zero=3)
        assert isinstance(y, cuda.DeviceArray)
        np.testing.assert_array_equal(y.numpy(), want)
    out = device.empty((9, 5), np.int32)
    assert qgemm(a, operand, a_zero=3, out=out) is out
    np.testing.assert_array_equal(out.numpy(), want)
    bias = np.arange(5, dtype=np.int32)
    scaled = qgemm(A, B, bias=bias, scale=0.01)
    np.testing.assert_array_equal(qgemm(a, b, bias=device.constant(bias), scale=0.01).numpy(), scaled)
    np.testing.assert_array_equal(qgemm(a, b, bias=device.to_device(bias), scale=0.01).numpy(), scaled)


def test_errors_are_those_of_the_kernel(device):
    a = device.to_device(A)
    with pytest.raises(ValueError, match=r"a and b must agree in K, got shapes \(9, 20\) and \(7, 5\)"):
        qgemm(a, B[:7])
    with pytest.raises(TypeError, match="qgemm: a must be uint8 or int8, got float32"):
        qgemm(device.to_device(A.astype(np.float32)), B)
    with pytest.raises(ValueError, match=r"qgemm: a_zero must be in 0\.\.255, got 300"):
        qgemm(a, B, a_zero=300)
    with pytest.raises(ValueError, match=r"out must be int32\(9, 5\) on the device, got int32\(5, 9\)"):
        qgemm(a, B, out=device.empty((5, 9), np.int32))
    with pytest.raises(ValueError, match=r"qgemm: out must be int32\(9, 5\) on the device, got ndarray"):
        qgemm(a, B, out=np.empty((9, 5), np.int32))
    bias = device.to_device(np.zeros(5, np.int32))
    with pytest.raises(ValueError, match="qgemm: out must not overlap an input"):
        qgemm(device.to_device(A[:1]), B, bias=bias, out=bias.reshape(1, 5))
    operand = device.DEVICE_KERNELS["qgemm"].pack(qgemm.pack(B))
    with pytest.raises(ValueError, match="qgemm: out must not be a constant"):
        qgemm(device.to_device(A[:1]), operand, out=device.constant(np.zeros((1, 5), np.int32)))
    with pytest.raises(ValueError, match="qgemm: out must not overlap an input"), use("cuda"):
        qgemm(A, B, out=A.view(np.int32))


def test_streams_and_events(device):
    stream, a = cuda.Stream(), device.to_device(A)
    start, stop = cuda.Event(), cuda.Event()
    with stream:
        start.record()
        y = qgemm(a, B)
        stop.record()
        np.testing.assert_array_equal(y.numpy(), qgemm(A, B))
    stream.synchronize()
    assert start.until(stop) >= 0


def test_threads_share_a_device(device):
    found = []

    def work(seed):
        a = np.random.default_rng(seed).integers(0, 256, (5, 20)).astype(np.uint8)
        with use("cuda"):
            found.append((qgemm(a, B) == qgemm.reference(a, B)).all())

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 4


def test_copies(device):
    """Of an operand of the device there is one; an array can't be copied without being asked."""
    x = device.to_device(A)
    with pytest.raises(TypeError):
        copy.deepcopy(x)
