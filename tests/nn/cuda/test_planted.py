"""A kernel of the device with a fault is found out: a missing barrier, a tile too far, a wait too short.

The faults are in files planted_*.py beside this one: PLANTED lists (kernel, rung, file of csrc/cuda, the text
as it is, the text with the fault).
"""

import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tests.nn.cuda import built

pytestmark = pytest.mark.long                                  # each is compiled, and asked in a process

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
FAULTS = [fault for file in sorted(HERE.glob("planted_*.py"))
          for fault in import_module(f"tests.nn.cuda.{file.stem}").PLANTED]


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """Everything as it is, compiled once: where the object of each source lies."""
    if shutil.which(os.environ.get("CXX") or "c++") is None:
        pytest.skip("no C++ compiler")
    files = [file for file in built.build_cuda().sources() if file.suffix != ".h"]
    objects = built.build_cuda().emulated(files, tmp_path_factory.mktemp("objects"))
    return dict(zip((file.name for file in files), objects, strict=True))


def users(folder, name):
    """The names of the sources that a change of this file changes: itself, or those that include it."""
    found, more = set(), {name}
    while more:
        found |= more
        more = {file.name for file in folder.rglob("*") if file.is_file() and any(
            f'#include "{one}"' in file.read_text(encoding="utf-8") for one in found)} - found
    return {one for one in found if not one.endswith(".h")}


def named(fault):
    """What a fault is called."""
    kernel, rung, _, was, becomes = fault
    return pytest.param(*fault, id=f"{kernel}-{rung}: {was[:30]} -> {becomes[:30]}")


def asked(kernel, rung, library, profile="ci"):
    """What a process that asks all laws says of a rung."""
    return subprocess.run(
        [sys.executable, "-m", "tests.nn.cuda.finds", kernel, rung, profile], cwd=ROOT, capture_output=True,
        env={**os.environ, "NN_CUDA": "emulation", "NN_CUDA_LIB": str(library)}, text=True, check=False,
        timeout=300)


@pytest.mark.parametrize(("kernel", "rung", "file", "was", "becomes"), [named(fault) for fault in FAULTS])
def test_is_found(kernel, rung, file, was, becomes, ready, tmp_path):
    folder = built.copied(tmp_path / "cuda")
    text = (folder / file).read_text(encoding="utf-8")
    assert was in text, f"{file} has no {was!r}: the fault is of an older kernel"
    (folder / file).write_text(text.replace(was, becomes), encoding="utf-8")
    changed = users(folder, file)
    same = [made for name, made in ready.items() if name not in changed]
    library = built.linked(tmp_path / "_cuda_emulated.so", folder, same, *(folder / name for name in changed))
    done = asked(kernel, rung, library)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.strip(), done.stderr                    # a law or the emulation has spoken


@pytest.mark.parametrize(("kernel", "rung"), [("qgemm", "naive"), ("qgemm", "few"), ("spmm_nm", "tiles")])
def test_the_right_kernels_pass(kernel, rung, device):
    """What finds faults finds none where there is none. (That the others are right, test_laws.py says.)"""
    done = asked(kernel, rung, device.library().path, "brief")
    assert done.returncode == 0, done.stdout + done.stderr
