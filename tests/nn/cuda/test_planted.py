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

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
FAULTS = [fault for file in sorted(HERE.glob("planted_*.py"))
          for fault in import_module(f"tests.nn.cuda.{file.stem}").PLANTED]
FIRST = {fault[0]: fault for fault in reversed(FAULTS)}        # of each kernel one: the others are many


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """The emulation itself, compiled once."""
    if shutil.which(os.environ.get("CXX") or "c++") is None:
        pytest.skip("no C++ compiler")
    return built.emulation(tmp_path_factory.mktemp("emulation"))


def named(fault):
    """What a fault is called, and when it is tried."""
    kernel, rung, _, was, becomes = fault
    return pytest.param(*fault, id=f"{kernel}-{rung}: {was[:30]} -> {becomes[:30]}",
                        marks=() if FIRST[kernel] is fault else pytest.mark.long)


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
    uses = [source for source in sorted(folder.glob("*.cu")) if f"nn_cuda_{kernel}(" in source.read_text()]
    done = asked(kernel, rung, built.linked(tmp_path / "_cuda_emulated.so", folder, ready, *uses))
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.strip(), done.stderr                    # a law or the emulation has spoken


def test_the_right_kernels_pass(ready, tmp_path):
    """What finds faults finds none where there is none."""
    folder = built.copied(tmp_path / "cuda")
    library = built.linked(tmp_path / "_cuda_emulated.so", folder, ready, folder / "qgemm.cu")
    done = asked("qgemm", "naive", library, "brief")
    assert done.returncode == 0, done.stdout + done.stderr
