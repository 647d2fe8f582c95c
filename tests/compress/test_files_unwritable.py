"""Saving a Program where nothing can be written: an error, no half file, the old one untouched."""

import errno
import os
import subprocess
import sys

import pytest

import compress
from tests.compress.test_files import program


def nothing_new(folder, before):
    assert sorted(path.name for path in folder.iterdir()) == sorted(before)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        compress.save(program(), tmp_path / "none" / "p")
    assert str(tmp_path / "none" / "p") in str(caught.value)
    nothing_new(tmp_path, [])


def test_a_file_where_a_folder_is_wanted(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        compress.save(program(), tmp_path / "file" / "p")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        compress.save(program(), tmp_path / "p")
    tmp_path.chmod(0o700)
    nothing_new(tmp_path, [])


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_fails_leaves_the_old_file(call, tmp_path, monkeypatch):
    path = tmp_path / "p"
    compress.save(program(), path)
    before = path.read_bytes()

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        compress.save(program(compress.Prune(0.5)), path)
    monkeypatch.undo()
    assert caught.value.filename == str(path)
    assert path.read_bytes() == before
    nothing_new(tmp_path, ["p"])


def test_a_disk_that_is_full_half_way(tmp_path):
    """A real write that fails after 4096 bytes, in a child process with a limit on the size of files."""
    path = tmp_path / "p"
    path.write_bytes(b"old")
    code = (
        "import sys, signal, resource, numpy as np, compress, nn\n"
        "program = compress.convert(nn.models.digits_mlp(0.3), np.zeros((1, 1, 8, 8), np.float32))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n"
        "    compress.save(program, sys.argv[1])\n"
        "except OSError as error:\n"
        "    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert "File too large" in run.stdout
    assert str(path) in run.stdout
    assert path.read_bytes() == b"old"
    nothing_new(tmp_path, ["p"])
