"""Files that are whole or not there: safetensors for arrays, and the atomic write under them.

A safetensors file is eight bytes (the header's length), a JSON header (names, dtypes, shapes, offsets) and
the arrays' raw bytes: loading one runs no code. Weights saved from PyTorch with `safetensors` load
unchanged. Files written here carry a checksum, and one that looks like ours is refused without it.
"""

from __future__ import annotations

import glob
import json
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

import numpy as np

from .arguments import instance
from .tensor import Tensor

# The format's names for the dtypes that we read and write; BF16 is read only (as float32).
_DTYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BOOL": np.bool_, "I64": np.int64,
           "I32": np.int32, "I16": np.int16, "I8": np.int8, "U64": np.uint64, "U32": np.uint32,
           "U16": np.uint16, "U8": np.uint8, "BF16": np.uint16}
_KNOWN = {np.dtype(t) for t in _DTYPES.values()}

# The metadata is a map of strings in any order: ours is one entry, so that equal arrays give equal bytes.
_ENTRY = "espalier"
_MOST = 200  # characters of a message beside the file's name, for what it quotes may be megabytes


class FileError(ValueError):
    """A file that is truncated, was edited, or is not what its name or its header says."""

    @classmethod
    def of(cls, path: str | os.PathLike[str], said: object) -> FileError:
        """The error that names the file and says briefly what is wrong; `said` may quote the file."""
        text = str(said).encode("utf-8", "backslashreplace").decode()
        if len(text) > _MOST:
            text = f"{text[:_MOST * 3 // 4]} … {text[-_MOST // 5:]}"
        return cls(f"{os.fsdecode(path)}: {text}")


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file to write into, which takes the place of `path` when the block ends without an error.

    The bytes go to a new file in the same folder (a rename between file systems would copy), are forced to
    the disk, and the file is renamed: a reader sees the old file or the new one, never a part. If the block
    or the disk fails, the old file stays and the new one is removed, as are `.part` files that killed
    processes left. Raises OSError, with `path` in it, for a missing or unwritable folder or a full disk.
    """
    target = os.path.realpath(os.fsdecode(path))  # a link stays a link: what it points to is replaced
    try:
        beside, file = _part(target)
        try:
            with file:
                clear_leftovers(target)
                yield file
                file.flush()
                os.fsync(file.fileno())
                if os.name == "nt":  # Windows renames no open file; elsewhere it stays locked until then
                    file.close()
                os.replace(beside, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(beside)
            raise
    except OSError as error:
        # A full disk reports no name, and a folder that can't be written to the name of the new file.
        if error.errno is None or (error.filename and not _is_part(str(error.filename), target)):
            raise
        raise OSError(error.errno, error.strerror, os.fsdecode(path)) from error
    with suppress(OSError):  # the rename itself, on systems that can open a folder (not Windows)
        folder = os.open(os.path.dirname(target), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _part(target: str) -> tuple[str, BinaryIO]:
    """The name of a new file beside `target`, and the file: open, and locked until it is closed."""
    while True:
        beside = f"{target}.{os.urandom(4).hex()}.part"
        file = open(beside, "xb")
        _lock(file)
        if os.fstat(file.fileno()).st_nlink:
            return beside, file
        file.close()  # another process removed it as a leftover before it was locked


def _is_part(name: str, target: str) -> bool:
    return name.startswith(target) and re.fullmatch(r"\.[0-9a-f]{8}\.part", name[len(target):]) is not None


def clear_leftovers(target: str) -> None:
    """Remove the `.part` files of `target` that no process writes any more. A writer holds a lock, which the
    system releases however the process ends."""
    for part in glob.glob(f"{glob.escape(target)}.*.part"):
        if _is_part(part, target):
            with suppress(OSError), open(part, "rb") as file:
                if _lock(file):
                    os.unlink(part)


def _lock(file: BinaryIO) -> bool:
    """Lock an open file; False if another process holds it. (Windows removes no open file: no lock.)"""
    if os.name == "nt":
        return True
    import fcntl

    with suppress(OSError):  # another process holds it, or the file system has no locks
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` to `path`, whole or not at all (see `replacing`)."""
    with replacing(path) as file:
        file.write(content)


def arrays_to_bytes(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a safetensors file of named arrays (and text): little-endian and C-contiguous, and of the
    same arrays always the same bytes. Raises TypeError for a name that is not text or an array of another
    dtype than float64/32/16, signed or unsigned integers and bool."""
    import safetensors.numpy

    for name, array in arrays.items():
        if not isinstance(name, str) or name == "__metadata__":
            raise TypeError(f"save: array names must be text other than '__metadata__', got {name!r}")
        instance("save", repr(name), array, (np.ndarray, np.generic), "a NumPy array")
        if array.dtype.newbyteorder("=") not in _KNOWN:
            raise TypeError(f"save: {name!r} has dtype {array.dtype}; wanted a float, an integer or bool")
    arrays = {name: np.asarray(array, array.dtype.newbyteorder("<"), "C") for name, array in arrays.items()}
    entry = {**(metadata or {}), "crc32": _checksum(arrays, metadata or {})}
    return safetensors.numpy.save(arrays, {_ENTRY: json.dumps(entry, sort_keys=True)})


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray],
                 metadata: Mapping[str, str] | None = None) -> int:
    """Write `arrays_to_bytes(arrays, metadata)` to `path`, whole or not at all, and give its size in bytes.
    Raises what `arrays_to_bytes` and `replacing` do."""
    content = arrays_to_bytes(arrays, metadata)
    write_bytes(path, content)
    return len(content)


def read_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays of a safetensors file, sorted by name, and the text that `write_arrays` put beside them.
    Raises FileError for a file that is truncated, was edited, or is another; OSError if it can't be read."""
    import safetensors

    with open(path, "rb") as file:
        content = file.read()
    try:
        # The package checks every size in the header against the bytes that are there.
        stored = sorted(safetensors.deserialize(content))
    except safetensors.SafetensorError as error:
        raise FileError.of(path, f"not a whole safetensors file ({error})") from error
    try:
        arrays = {name: _array(name, **tensor) for name, tensor in stored}
        metadata = _metadata(content)
        if metadata is None:  # a file from elsewhere
            return arrays, {}
        if metadata.pop("crc32", None) != _checksum(arrays, metadata):
            raise ValueError("the checksum does not match or is missing: the file was edited or damaged")
    except (ValueError, RecursionError) as error:
        raise FileError.of(path, error) from error
    return arrays, metadata


def save(module_or_state: Any, path: str | os.PathLike[str]) -> None:
    """Save the state of a network, or any named arrays, at `path` as a safetensors file.

    module_or_state: a Module, whose `state_dict()` is meant, or a mapping of names to arrays or Tensors.
    Raises: TypeError for anything else; OSError, with nothing half-written, if the file can't be written.
    """
    state = module_or_state.state_dict() if hasattr(module_or_state, "state_dict") else module_or_state
    instance("save", "module_or_state", state, Mapping, "a Module or a mapping of names to arrays")
    arrays = {name: value.data if isinstance(value, Tensor) else value for name, value in state.items()}
    write_arrays(path, arrays)


def load(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of the safetensors file at `path` by name, for `Module.load_state_dict`. BF16 comes as
    float32. Raises what `read_arrays` does: FileError for a damaged file, OSError."""
    return read_arrays(path)[0]


def _array(name: str, dtype: str, shape: list[int], data: bytearray) -> np.ndarray:
    if dtype not in _DTYPES:
        raise ValueError(f"tensor {name!r:.60} has dtype {dtype}; wanted one of {', '.join(_DTYPES)}")
    array = np.frombuffer(bytearray(data), np.dtype(_DTYPES[dtype]).newbyteorder("<"))
    if dtype == "BF16":  # the upper half of a float32
        array = (array.astype(np.uint32) << 16).view(np.float32)
    if dtype == "BOOL" and array.view(np.uint8).max(initial=0) > 1:
        raise ValueError(f"tensor {name!r:.60} has booleans that are neither 0 nor 1")
    try:
        return array.reshape(shape)
    except ValueError as error:  # more dimensions than NumPy has, or an empty array of absurd lengths
        raise ValueError(f"tensor {name!r:.60}: no array has the shape {shape!s:.60} ({error})") from error


def _metadata(content: bytes) -> dict[str, str] | None:
    """Our entry of the header's metadata; None for a file from elsewhere. Raises ValueError for an entry that
    is damaged or has another name, since its checksum would be passed over."""
    header = json.loads(content[8:8 + int.from_bytes(content[:8], "little")], object_pairs_hook=_once)
    entries = _texts(header.get("__metadata__", {}))
    ours = entries.pop(_ENTRY, None)
    for name, text in entries.items():
        if ours is not None:
            raise ValueError(f"the metadata is damaged (beside {_ENTRY!r} there is {name!r:.60})")
        if _is_ours(text):
            raise ValueError(f"its text stands under {name!r:.60}, not {_ENTRY!r}: the metadata is damaged, "
                             "or a version before 0.2 wrote it (then: safetensors.numpy.load_file reads "
                             "weights, for nn.save to write anew; a Program is converted anew from its "
                             "network; a training is finished by the version that began it)")
    try:
        return None if ours is None else _texts(json.loads(ours, object_pairs_hook=_once))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the metadata is damaged ({error})") from error


def _texts(given: Any) -> dict[str, str]:
    if not isinstance(given, dict) or not all(isinstance(text, str) for text in given.values()):
        raise ValueError("the metadata is damaged (wanted a map of text to text)")
    return given


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object without a name that comes twice: readers differ in which of the two they take."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name comes twice in the header")
    return dict(pairs)


def _is_ours(text: str) -> bool:
    """Whether this looks like our entry: a map of texts, one of them a checksum."""
    with suppress(ValueError, RecursionError):
        return any(re.fullmatch("[0-9a-f]{8}", value) for value in _texts(json.loads(text)).values())
    return False


def _checksum(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    """CRC-32 over names, dtypes, shapes, bytes and text: it shows accidents and edits, not forgery."""
    crc = zlib.crc32(json.dumps(sorted(metadata.items())).encode())
    for name in sorted(arrays):
        array = arrays[name]
        crc = zlib.crc32(f"{name} {array.dtype.name} {array.shape}".encode(), crc)
        crc = zlib.crc32(array.reshape(-1).view(np.uint8), crc)
    return f"{crc:08x}"
