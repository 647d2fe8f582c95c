"""IDX, the format of MNIST (LeCun, Cortes & Burges 1998), Fashion-MNIST and their kin.

Two zero bytes, a byte for the dtype, a byte for the number of dimensions, each dimension as four bytes, and
the values; all big-endian. The header is checked against the number of bytes that follow.
"""

import gzip
import math
import os
import zlib
from typing import BinaryIO

import numpy as np

from ..files import FileError
from .uci import Digits

_FILES = tuple(f"{part}-{of}-ubyte" for part in ("train", "t10k") for of in ("images-idx3", "labels-idx1"))
_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CHUNK = 1 << 20


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """The array in an IDX file, plain or gzip-compressed (which the first bytes tell).

    path: the file. Returns: uint8, int8, int16, int32, float32 or float64, in this machine's byte order.
    Raises: FileError if the header is not IDX or lies about the size; OSError if the file can't be read.
    """
    with open(path, "rb") as raw:
        compressed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        with gzip.open(raw) if compressed else raw as file:
            try:
                return _parse(path, file)
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                raise FileError.of(path, f"the gzip stream is damaged ({error})") from error


def _parse(path: str | os.PathLike[str], file: BinaryIO) -> np.ndarray:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _DTYPES or magic[3] == 0:
        raise FileError.of(path, f"not an IDX file (its first four bytes are {magic.hex(' ') or 'missing'})")
    dtype = np.dtype(_DTYPES[magic[2]])
    dims = file.read(4 * magic[3])
    if len(dims) < 4 * magic[3]:
        raise FileError.of(path, f"the IDX header of {magic[3]} dimensions ends after {len(dims)} bytes")
    shape = tuple(int.from_bytes(dims[i:i + 4], "big") for i in range(0, len(dims), 4))
    size = math.prod(shape) * dtype.itemsize  # Python's integers do not overflow
    content = read_at_most(file, size + 1)
    if len(content) != size:
        there = "more" if len(content) > size else len(content)
        said = f"{shape!s:.80} {dtype.name}, {size} bytes" if size < 1 << 63 else f"{shape!s:.80}"
        raise FileError.of(path, f"the IDX header says {said}, but the file has {there}")
    try:
        return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="))
    except ValueError as error:  # more dimensions than NumPy has, or an empty array of absurd sizes
        raise FileError.of(path, f"the IDX header says {shape!s:.80}, impossible ({error})") from error


def read_at_most(file: BinaryIO, size: int) -> bytes:
    """Up to `size` bytes, without allocating memory for bytes that may not be there."""
    parts = []
    while size > 0 and (part := file.read(min(size, _CHUNK))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def mnist(folder: str | os.PathLike[str]) -> Digits:
    """MNIST, or a data set in its format: the four IDX files in `folder`, `folder/raw` or `folder/MNIST/raw`.

    They are called train-images-idx3-ubyte or train-images.idx3-ubyte and so on, plain or .gz.
    Returns: images (N, 1, H, W), float32 in 0..1 (value / 255), and classes (N,), int64.
    Raises: FileNotFoundError, naming the files wanted; FileError if one of them is not what its name says.
    """
    found = []
    for name in _FILES:
        names = [f"{stem}{end}" for stem in (name, name.replace("-idx", ".idx")) for end in ("", ".gz")]
        found.append(find(folder, names, ["raw", os.path.join("MNIST", "raw")], _FILES))
    arrays = [read_idx(path) for path in found]
    for images, labels, at, of in (*arrays[:2], *found[:2]), (*arrays[2:], *found[2:]):
        if images.dtype != np.uint8 or images.ndim != 3 or images.size == 0:
            raise FileError(f"{at}: wanted uint8 images (N,H,W), got {images.dtype} {images.shape}")
        if labels.dtype != np.uint8 or labels.ndim != 1:
            raise FileError(f"{of}: wanted uint8 labels (N,), got {labels.dtype} {labels.shape}")
        if len(images) != len(labels):
            raise FileError(f"{of}: {len(labels)} labels for {len(images)} images in {at}")
    x_train, y_train, x_test, y_test = arrays
    if x_train.shape[1:] != x_test.shape[1:]:
        raise FileError(f"{found[2]}: images of {x_test.shape[1:]}, but {found[0]} has {x_train.shape[1:]}")
    return Digits.scaled(x_train[:, None], y_train, x_test[:, None], y_test, 255)


def find(folder: str | os.PathLike[str], names: list[str], below: list[str], wanted: tuple[str, ...]) -> str:
    """The path of the first of `names` that is a file in `folder` or in a folder `below` it. Raises
    FileNotFoundError that names them, and all files `wanted`."""
    for place in ("", *below):
        for name in names:
            path = os.path.join(folder, place, name)
            if os.path.isfile(path):
                return path
    raise FileNotFoundError(f"{os.fspath(folder)}: no {' or '.join(names)} here or in "
                            f"{', '.join(f'{place}/' for place in below)}; wanted {', '.join(wanted)}")
