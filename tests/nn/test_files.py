"""safetensors files: what goes in comes out, what is damaged is refused, what fails leaves no trace."""

import errno
import os
import stat
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nn import files

GOLDEN = Path(__file__).parents[1] / "golden"
DTYPES = [np.dtype(t) for t in "f8 f4 f2 i8 i4 i2 i1 u8 u4 u2 u1 ?".split()]
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
STATES = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
    st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, SHAPES)),
    max_size=4,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


def same(a, b):
    """Equal bit for bit, NaN payloads included."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@given(state=STATES, metadata=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
@settings(max_examples=60, deadline=None)
def test_what_is_saved_loads_bit_for_bit(folder, state, metadata):
    metadata.pop("crc32", None)
    size = files.write_arrays(folder / "a", state, metadata)
    arrays, text = files.read_arrays(folder / "a")
    assert list(arrays) == sorted(state)
    assert all(same(arrays[name], state[name]) for name in state)
    assert all(array.flags.writeable for array in arrays.values())
    assert text == metadata
    assert size == (folder / "a").stat().st_size
    before = (folder / "a").read_bytes()
    files.write_arrays(folder / "a", dict(reversed(state.items())), metadata)
    assert (folder / "a").read_bytes() == before, "the same arrays must give the same bytes"
    theirs = safetensors.numpy.load(before)
    assert all(same(theirs[name], state[name]) for name in state)


def test_strided_foreign_endian_and_scalar_arrays_are_stored_by_value(folder):
    square = np.arange(12, dtype=np.float32).reshape(3, 4)
    state = {"columns": square[:, ::-2], "swapped": square.astype(">f4"), "scalar": np.float64(3)}
    files.save(state, folder / "a")
    loaded = files.load(folder / "a")
    for name, array in state.items():
        np.testing.assert_array_equal(loaded[name], array)
    assert loaded["scalar"].shape == ()


def test_a_file_from_pytorch_loads_and_bf16_becomes_float32():
    loaded = files.load(GOLDEN / "torch_dtypes.safetensors")
    values = np.array([[0.0, -0.0, 1.0], [-2.5, 3.0e38, 1e-40]], np.float32)
    assert same(loaded["f32"], values)
    assert same(loaded["f64"], values.astype(np.float64))
    with np.errstate(over="ignore"):
        assert same(loaded["f16"], values.astype(np.float16))
    assert loaded["bf16"].dtype == np.float32
    np.testing.assert_allclose(loaded["bf16"], values, rtol=2**-8, atol=1e-40)
    assert same(loaded["i64"], np.arange(-3, 3))
    assert same(loaded["u8"], np.arange(6, dtype=np.uint8))
    assert same(loaded["flag"], np.array([True, False]))
    assert same(loaded["empty"], np.zeros((0, 3), np.float32))
    assert same(loaded["scalar"], np.array(7))


def _example(path):
    state = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "steps": np.array(3)}
    files.write_arrays(path, state, {"program": "x"})
    return state, path.read_bytes()


def test_every_truncation_is_refused(folder):
    path = folder / "a"
    _, content = _example(path)
    for end in range(len(content)):
        path.write_bytes(content[:end])
        with pytest.raises(files.FileError, match="a:"):
            files.load(path)


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_an_edited_byte_is_refused_or_changes_nothing(folder, data):
    path = folder / "a"
    state, content = _example(path)
    edited = bytearray(content)
    at = data.draw(st.integers(0, len(edited) - 1))
    edited[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(edited)
    try:
        arrays = files.load(path)
    except files.FileError:
        return
    assert all(same(arrays[name], state[name]) for name in state)    # the edit was in a space of the header


@given(content=st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_other_bytes_are_refused(folder, content):
    (folder / "a").write_bytes(content)
    with pytest.raises(files.FileError):
        files.load(folder / "a")


@pytest.mark.parametrize(
    "header",
    [
        b'{"w":{"dtype":"F32","shape":[1099511627776,1099511627776],"data_offsets":[0,4]}}',
        b'{"w":{"dtype":"F32","shape":[2147483648],"data_offsets":[0,8589934592]}}',
        b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
        b'{"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}',
        b'{"w":{"dtype":"C128","shape":[1],"data_offsets":[0,4]}}',
        b'{"w":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}}',
        b'{"__metadata__":{"espalier":"{"},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        b'{"__metadata__":{"espalier":"[1]"},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        b'{"__metadata__":{"espalier":"{\\"a\\":1}"},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
    ],
)
def test_a_header_that_lies_is_refused(folder, header):
    (folder / "a").write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0\0\0")
    with pytest.raises(files.FileError):
        files.load(folder / "a")


@pytest.mark.parametrize(
    ("state", "wanted"),
    [
        (3, "mapping of names"),
        ({"w": [1.0]}, "'w' must be a NumPy array"),
        ({"w": np.array(["text"])}, "dtype"),
        ({"w": np.array([1j])}, "dtype"),
        ({"w": np.array([None])}, "dtype"),
        ({3: np.zeros(1)}, "names must be text"),
        ({"__metadata__": np.zeros(1)}, "names must be text"),
    ],
)
def test_what_can_not_be_stored_is_refused_and_nothing_is_written(tmp_path, state, wanted):
    with pytest.raises(TypeError, match=wanted):
        files.save(state, tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        files.write_bytes(path, b"new")
    assert caught.value.filename == str(path)
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_really_full_disk_names_the_path(tmp_path, monkeypatch):
    full = os.open("/dev/full", os.O_WRONLY)
    monkeypatch.setattr("builtins.open", lambda name, mode: os.fdopen(full, "wb"))
    with pytest.raises(OSError, match="No space left") as caught:
        files.write_bytes(tmp_path / "a", b"new")
    assert caught.value.filename == str(tmp_path / "a")


def test_an_interrupted_write_leaves_nothing(tmp_path):
    def interrupted():
        with files.replacing(tmp_path / "a") as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_an_unwritable_folder_is_named(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError) as caught:
            files.write_bytes(tmp_path / "a", b"new")
        assert caught.value.filename == str(tmp_path / "a")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize(("path", "kind"), [("missing/a", FileNotFoundError), ("folder", OSError)])
def test_a_path_that_can_not_be_written_is_named(tmp_path, path, kind):
    (tmp_path / "folder").mkdir()
    with pytest.raises(kind) as caught:
        files.write_bytes(tmp_path / path, b"new")
    assert caught.value.filename == str(tmp_path / path)
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_a_file_that_can_not_be_read_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        files.load(tmp_path / "a")
    with pytest.raises(OSError, match=str(tmp_path)):
        files.load(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="POSIX links and permissions")
def test_a_link_stays_a_link_and_the_permissions_are_the_usual_ones(tmp_path):
    (tmp_path / "folder").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "folder" / "a")
    files.write_bytes(link, b"new")
    assert link.is_symlink()
    assert (tmp_path / "folder" / "a").read_bytes() == b"new"
    (tmp_path / "usual").touch()
    assert stat.S_IMODE(link.stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)
