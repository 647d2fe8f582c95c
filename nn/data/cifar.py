"""The binary files of CIFAR-10: 60,000 colour images of 32×32 pixels (Krizhevsky 2009).

A file is a sequence of records of 3073 bytes without a header: the class, and the red, the green and the blue
plane, each row by row. A file of another format shows by its length, or by a class that is not in 0..9.
"""

import os

import numpy as np

from ..files import FileError
from .idx import find
from .uci import Digits

_RECORD = 1 + 3 * 32 * 32
_FILES = *(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"


def read_cifar10(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """The images (N, 3, 32, 32) and classes (N,) in one file, both uint8.

    path: a binary file, with a record of 3,073 bytes for each image.
    Raises: FileError for a length that is no multiple of that, or a class beyond 0..9; OSError if unreadable.
    """
    with open(path, "rb") as file:
        content = file.read()
    if not content or len(content) % _RECORD:
        raise FileError.of(path, f"not a binary file of CIFAR-10: wanted records of {_RECORD} bytes, "
                                 f"got {len(content)} bytes")
    records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
    classes = records[:, 0].copy()
    if classes.max() > 9:
        at = classes.argmax()
        raise FileError.of(path, f"record {at} has the class {classes[at]}; CIFAR-10 has 0..9")
    return records[:, 1:].reshape(-1, 3, 32, 32).copy(), classes


def cifar10(folder: str | os.PathLike[str]) -> Digits:
    """CIFAR-10: its five training files and its test file in `folder` or `folder/cifar-10-batches-bin`.

    Returns: images (N, 3, 32, 32), float32 in 0..1 (value / 255), and classes (N,), int64.
    Raises: FileNotFoundError, naming the files wanted; FileError if one is not what its name says.
    """
    *train, test = [find(folder, [name], ["cifar-10-batches-bin"], _FILES) for name in _FILES]
    images, classes = zip(*map(read_cifar10, train), strict=True)
    return Digits.scaled(np.concatenate(images), np.concatenate(classes), *read_cifar10(test), 255)
