"""The digits are the digits; an IDX file is believed as far as its bytes go; batches take each row once."""

import gzip
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nn import data
from nn.data import idx, uci
from nn.files import FileError

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array):
    """An IDX file, written from the format's description."""
    code = CODES[array.dtype.str[1:]]
    dims = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return bytes([0, 0, code, array.ndim]) + dims + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("idx")


# The digits


def test_the_digits_are_the_ones_of_the_repository():
    digits = data.digits()
    assert digits.x_train.shape == (1437, 1, 8, 8)
    assert digits.x_test.shape == (360, 1, 8, 8)
    assert digits.x_train.dtype == digits.x_test.dtype == np.float32
    assert digits.y_train.dtype == digits.y_test.dtype == np.int64
    y = np.concatenate([digits.y_train, digits.y_test])
    # The class counts of the repository's own description of its test file.
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert y[:10].tolist() == list(range(10)), "the original order"
    assert digits.x_train.min() == 0
    assert digits.x_train.max() == 1
    first = (digits.x_train[0, 0] * 16).astype(int)
    assert first[0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]


def test_the_validation_split_holds_no_test_image():
    digits = data.digits()
    split = digits.validation_split(237)
    np.testing.assert_array_equal(np.concatenate([split.x_train, split.x_test]), digits.x_train)
    np.testing.assert_array_equal(np.concatenate([split.y_train, split.y_test]), digits.y_train)
    assert len(split.x_test) == len(split.y_test) == 237
    for size in (0, -1, 1437):
        with pytest.raises(ValueError, match="validation_split"):
            digits.validation_split(size)


@pytest.mark.parametrize(
    "damage",
    [
        {"images": np.zeros((1797, 64), np.uint8)},
        {"images": np.full((1797, 8, 8), 17, np.uint8)},
        {"images": np.zeros((1797, 8, 8), np.float32)},
        {"labels": np.full(1797, 10, np.uint8)},
        {"labels": None},
        b"not a zip",
        b"",
    ],
)
def test_a_damaged_digits_file_is_refused(tmp_path, monkeypatch, damage):
    path = tmp_path / "digits.npz"
    if isinstance(damage, bytes):
        path.write_bytes(damage)
    else:
        arrays = {"images": np.zeros((1797, 8, 8), np.uint8), "labels": np.zeros(1797, np.uint8), **damage}
        np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    monkeypatch.setattr(uci, "__file__", str(tmp_path / "uci.py"))
    with pytest.raises(FileError, match=r"not the digits|must be uint8"):
        data.digits()


# IDX


@given(
    array=st.sampled_from(sorted(CODES)).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=1, max_dims=5, min_side=0, max_side=4))
    ),
    compress=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_an_idx_file_reads_back(folder, array, compress):
    content = idx_bytes(array)
    (folder / "a").write_bytes(gzip.compress(content) if compress else content)
    read = data.read_idx(folder / "a")
    assert read.dtype == array.dtype
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, array)


@given(data_=st.data(), compress=st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_truncated_or_prolonged_idx_file_is_refused(folder, data_, compress):
    content = idx_bytes(np.arange(30, dtype=np.int16).reshape(2, 3, 5))
    end = data_.draw(st.integers(0, len(content) - 1) | st.just(len(content) + 1))
    content = (content + b"\0")[:end]
    (folder / "a").write_bytes(gzip.compress(content) if compress else content)
    with pytest.raises(FileError):
        data.read_idx(folder / "a")


@given(st.integers(0, 60))
@settings(max_examples=30, deadline=None)
def test_a_truncated_gzip_stream_is_refused(folder, end):
    content = gzip.compress(idx_bytes(np.arange(30, dtype=np.uint8)))
    (folder / "a").write_bytes(content[: min(end, len(content) - 1)])
    with pytest.raises(FileError):
        data.read_idx(folder / "a")


@given(header=st.binary(min_size=4, max_size=16), compress=st.booleans())
@example(header=b"\0\0\x08\x03" + b"\xff" * 12, compress=False)
@example(header=b"\0\0\x08\x03" + b"\xff" * 12, compress=True)
@example(header=b"\0\0\x08\x04" + b"\0\0\0\0" + b"\x7f\xff\xff\xff" * 3, compress=False)
@example(header=b"\0\0\x08\xff" + b"\0\0\0\0" * 3, compress=False)
@example(header=b"\0\0\x08\x00" + b"\0\0\0\1" * 3, compress=False)
@settings(max_examples=200, deadline=None)
def test_any_edit_of_the_header_reads_the_bytes_there_are_or_is_refused(folder, header, compress):
    body = bytes(60)
    (folder / "a").write_bytes(gzip.compress(header + body) if compress else header + body)
    try:
        array = data.read_idx(folder / "a")
    except FileError:
        return
    assert array.nbytes + 4 + 4 * array.ndim == len(header + body)


def test_a_header_of_absurd_size_and_a_gzip_bomb_take_no_memory(folder):
    lie = b"\0\0\x08\x03" + (2**31 - 1).to_bytes(4, "big") * 3
    bomb = gzip.compress(idx_bytes(np.zeros(4, np.uint8)) + bytes(1 << 26))
    noise = np.random.default_rng(0).bytes(1 << 18)
    less = gzip.compress(b"\0\0\x08\x01" + (1 << 25).to_bytes(4, "big") + noise)
    for content in (lie, gzip.compress(lie), bomb, less):
        (folder / "a").write_bytes(content)
        tracemalloc.start()
        with pytest.raises(FileError, match="header says"):
            data.read_idx(folder / "a")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1 << 22
    with pytest.raises(FileError, match="33554432 bytes, but the file has 262144"):
        data.read_idx(folder / "a")


def test_an_array_of_no_dimensions_is_no_idx(folder):
    (folder / "a").write_bytes(b"\0\0\x08\0\7")
    with pytest.raises(FileError, match="not an IDX file"):
        data.read_idx(folder / "a")


def test_other_damage_to_a_gzip_stream_is_refused(folder):
    content = bytearray(gzip.compress(idx_bytes(np.arange(200, dtype=np.uint8))))
    for at in (3, 12, len(content) - 6):  # flags, deflate data, checksum
        edited = bytearray(content)
        edited[at] ^= 0xFF
        (folder / "a").write_bytes(edited)
        with pytest.raises(FileError):
            data.read_idx(folder / "a")


def test_a_missing_idx_file_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        data.read_idx(tmp_path / "a")


# MNIST


def write_mnist(folder, compress=False, **changes):
    rng = np.random.default_rng(0)
    arrays = {}
    for part, n in (("train", 5), ("t10k", 3)):
        arrays[f"{part}-images-idx3-ubyte"] = rng.integers(0, 256, (n, 4, 6), np.uint8)
        arrays[f"{part}-labels-idx1-ubyte"] = rng.integers(0, 10, n, np.uint8)
    arrays.update({name.replace("_", "-"): array for name, array in changes.items()})
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        content = idx_bytes(array)
        (folder / f"{name}.gz" if compress else folder / name).write_bytes(
            gzip.compress(content) if compress else content
        )
    return arrays


@pytest.mark.parametrize("where", ["", "raw", "MNIST/raw"])
@pytest.mark.parametrize("compress", [False, True])
def test_mnist_is_found_and_scaled(tmp_path, where, compress):
    arrays = write_mnist(tmp_path / where, compress)
    mnist = data.mnist(tmp_path)
    assert isinstance(mnist, data.Digits)
    for x, y, part in ((mnist.x_train, mnist.y_train, "train"), (mnist.x_test, mnist.y_test, "t10k")):
        images = arrays[f"{part}-images-idx3-ubyte"]
        assert x.dtype == np.float32
        np.testing.assert_array_equal(x, images[:, None].astype(np.float32) / np.float32(255))
        assert y.dtype == np.int64
        np.testing.assert_array_equal(y, arrays[f"{part}-labels-idx1-ubyte"])


@pytest.mark.parametrize("compress", [False, True])
def test_idx_files_may_have_a_dot_in_their_names(tmp_path, compress):
    arrays = write_mnist(tmp_path, compress)
    hyphens = data.mnist(tmp_path)
    for path in list(tmp_path.iterdir()):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert len(list(tmp_path.glob("*-images.idx3-ubyte*"))) == 2
    for dotted, usual in zip(data.mnist(tmp_path), hyphens, strict=True):
        np.testing.assert_array_equal(dotted, usual)
    other = {"train-images-idx3-ubyte": arrays["train-images-idx3-ubyte"] // 2}
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx_bytes(other["train-images-idx3-ubyte"]))
    both = data.mnist(tmp_path)    # where both are, the usual one is read
    assert both.x_train.sum() < hyphens.x_train.sum()


def test_a_missing_mnist_file_is_named(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match=r"no t10k-labels-idx1-ubyte.*train-images-idx3-ubyte"):
        data.mnist(tmp_path)
    with pytest.raises(FileNotFoundError, match="wanted"):
        data.mnist(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"train_labels_idx1_ubyte": np.zeros(4, np.uint8)}, "4 labels for 5 images"),
        ({"train_labels_idx1_ubyte": np.zeros((5, 1), np.uint8)}, "wanted uint8 labels"),
        ({"train_labels_idx1_ubyte": np.zeros(5, np.int32)}, "wanted uint8 labels"),
        ({"t10k_images_idx3_ubyte": np.zeros((3, 4, 5), np.uint8)}, r"images of \(4, 5\)"),
        ({"t10k_images_idx3_ubyte": np.zeros((3, 24), np.uint8)}, "wanted uint8 images"),
        ({"t10k_images_idx3_ubyte": np.zeros((3, 4, 6), np.float32)}, "wanted uint8 images"),
        ({"t10k_images_idx3_ubyte": np.zeros((0, 4, 6), np.uint8)}, "wanted uint8 images"),
    ],
)
def test_mnist_files_that_do_not_fit_are_refused(tmp_path, changes, wanted):
    write_mnist(tmp_path, **changes)
    with pytest.raises(FileError, match=wanted):
        data.mnist(tmp_path)


# Batches


@given(n=st.integers(1, 40), size=st.integers(1, 50), seed=st.integers(0, 5), shuffle=st.booleans())
@settings(max_examples=60, deadline=None)
def test_batches_pass_over_the_data_once(n, size, seed, shuffle):
    x, y = np.arange(2.0 * n).reshape(n, 2), np.arange(n)
    parts = list(data.batches(x, y, size, np.random.default_rng(seed), shuffle))
    assert [len(a) for a, _ in parts[:-1]] == [size] * (math.ceil(n / size) - 1)
    rows = np.concatenate([b for _, b in parts])
    assert sorted(rows) == list(range(n))
    assert shuffle or rows.tolist() == list(range(n))
    np.testing.assert_array_equal(np.concatenate([a for a, _ in parts]), x[rows])
    again = list(data.batches(x, y, size, np.random.default_rng(seed), shuffle))
    assert all((b == d).all() for (_, b), (_, d) in zip(parts, again, strict=True))


@pytest.mark.parametrize(
    ("kind", "wanted", "change"),
    [
        (TypeError, "x must be", {"x": [1.0]}),
        (TypeError, "rng", {"rng": 0}),
        (ValueError, "size", {"size": 0}),
        (ValueError, "size", {"size": 2.0}),
        (ValueError, "rows", {"y": np.zeros(2, int)}),
        (ValueError, "rows", {"x": np.zeros((0, 2)), "y": np.zeros(0, int)}),
        (ValueError, "rows", {"x": np.zeros(()), "y": np.zeros(())}),
    ],
)
def test_batches_refuse_at_the_call(kind, wanted, change):
    good = {"x": np.zeros((3, 2)), "y": np.zeros(3, int), "size": 2, "rng": np.random.default_rng(0)}
    with pytest.raises(kind, match=wanted):
        data.batches(**{**good, **change})


def test_the_reader_never_asks_for_more_than_a_chunk():
    class Stream:
        asked = 0

        def read(self, n):
            self.asked = max(self.asked, n)
            return b""

    stream = Stream()
    assert idx.read_at_most(stream, 1 << 40) == b""
    assert stream.asked <= 1 << 20
