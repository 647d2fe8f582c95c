"""CIFAR-10's binary files, and items made in the background."""

import gc
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nn import data
from nn.files import FileError

# CIFAR-10


def record(rng, label):
    """A record, and its image, written from the format's description: class, red, green, blue."""
    image = rng.integers(0, 256, (3, 32, 32), dtype=np.uint8)
    return bytes([label]) + b"".join(image[c, i].tobytes() for c in range(3) for i in range(32)), image


def write(path, labels, seed=0):
    rng = np.random.default_rng(seed)
    records = [record(rng, label) for label in labels]
    path.write_bytes(b"".join(content for content, _ in records))
    return np.stack([image for _, image in records])


def test_a_file_reads_back(tmp_path):
    images = write(tmp_path / "a.bin", [3, 0, 9])
    x, y = data.read_cifar10(tmp_path / "a.bin")
    assert x.dtype == y.dtype == np.uint8
    assert y.tolist() == [3, 0, 9]
    np.testing.assert_array_equal(x, images)
    x[:] = 0    # they are one's own


@pytest.mark.parametrize("inside", ["", "cifar-10-batches-bin"])
def test_a_folder_reads_as_training_and_test_part(tmp_path, inside):
    folder = tmp_path / inside
    folder.mkdir(exist_ok=True)
    parts = [write(folder / f"data_batch_{i}.bin", [i, 0], seed=i) for i in range(1, 6)]
    test = write(folder / "test_batch.bin", [7])
    found = data.cifar10(tmp_path)
    np.testing.assert_array_equal(found.x_train, np.concatenate(parts) / np.float32(255))
    np.testing.assert_array_equal(found.x_test, test / np.float32(255))
    assert found.x_train.dtype == found.x_test.dtype == np.float32
    assert found.y_train.tolist() == [1, 0, 2, 0, 3, 0, 4, 0, 5, 0]
    assert found.y_test.tolist() == [7]
    assert found.y_train.dtype == np.int64


@pytest.mark.parametrize("size", [0, 1, 3072, 3074, 2 * 3073 - 1])
def test_a_file_of_another_length_is_refused(tmp_path, size):
    (tmp_path / "a.bin").write_bytes(bytes(size))
    with pytest.raises(FileError, match=rf"a\.bin: not a binary file of CIFAR-10: .*3073 bytes, got {size}"):
        data.read_cifar10(tmp_path / "a.bin")


def test_a_class_out_of_range_is_refused(tmp_path):
    write(tmp_path / "a.bin", [3, 10, 9])
    with pytest.raises(FileError, match=r"a\.bin: record 1 has the class 10; CIFAR-10 has 0\.\.9"):
        data.read_cifar10(tmp_path / "a.bin")


def test_a_missing_file_is_named(tmp_path):
    write(tmp_path / "data_batch_1.bin", [1])
    with pytest.raises(FileNotFoundError, match=r"no data_batch_2\.bin here or in cifar-10-batches-bin/"):
        data.cifar10(tmp_path)


# Ahead


@given(st.lists(st.integers(), max_size=20), st.integers(1, 5))
def test_the_items_come_in_their_order(items, ahead):
    assert list(data.prefetch(items, ahead)) == items
    assert list(data.prefetch(iter(items), ahead)) == items


class Failed(Exception):
    pass


@pytest.mark.parametrize("good", [0, 1, 4])
def test_what_the_items_raise_is_raised_in_its_place(good):
    def items():
        yield from range(good)
        raise Failed

    coming = data.prefetch(items())
    assert [next(coming) for _ in range(good)] == list(range(good))
    with pytest.raises(Failed):
        next(coming)


def background():
    return [thread for thread in threading.enumerate() if thread.name == "prefetch"]


def until(condition):
    """Wait for it, ten seconds at most."""
    for _ in range(10_000):
        if condition():
            return True
        time.sleep(0.001)
    return False


def test_as_many_are_drawn_ahead_as_asked_for_and_no_more():
    drawn = []

    def items():
        for i in range(100):
            drawn.append(i)
            yield i

    coming = data.prefetch(items(), 3)
    assert not drawn
    assert not background()
    assert next(coming) == 0
    assert until(lambda: len(drawn) == 4)    # the one in use, and three ahead
    time.sleep(0.02)
    assert len(drawn) == 4
    assert next(coming) == 1
    assert until(lambda: len(drawn) == 5)
    coming.close()
    assert not background()
    assert len(drawn) == 5


def test_forgotten_or_failed_the_thread_ends():
    coming = data.prefetch(iter(range(100)))
    next(coming)
    assert background()
    del coming
    gc.collect()
    assert not background()


def test_items_are_made_while_others_are_used():
    """A rendezvous that one thread could not keep: item 1 is begun before item 0 is done with."""
    begun = threading.Event()

    def items():
        yield 0
        begun.set()
        yield 1

    for item in data.prefetch(items(), 1):
        if item == 0:
            assert begun.wait(10)


@pytest.mark.parametrize(("error", "message", "call"), [
    (TypeError, "prefetch: items must be iterable, got int", lambda: data.prefetch(3)),
    (ValueError, "prefetch: ahead must be a whole number >= 1, got 0", lambda: data.prefetch([], 0)),
    (ValueError, "prefetch: ahead .*got 1.5", lambda: data.prefetch([], 1.5)),
])
def test_bad_arguments_of_prefetch(error, message, call):
    with pytest.raises(error, match=message):
        call()
