"""Finding the library, and one sentence where there is none."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.nn.cuda import built

SAYS = "from nn import cuda; print(cuda.is_available(), cuda.why_not())"


def says(program=SAYS, **environment):
    """What a fresh process prints, or its last line of error."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NN_")}
    done = subprocess.run([sys.executable, "-c", program], env={**clean, **environment}, text=True,
                          capture_output=True, check=False)
    return (done.stdout or done.stderr).strip().splitlines()[-1]


@pytest.fixture
def path(device):
    """The emulated library."""
    return device.library().path


def test_is_off():
    assert says(NN_CUDA="off") == "False NN_CUDA=off is set."


def test_is_not_built(tmp_path):
    said = says(NN_CUDA_LIB=str(tmp_path / "_cuda.so"))
    assert said == ("False The library is not built: _cuda.so is not there; `python csrc/build.py --cuda` "
                    "builds it.")


def test_is_no_library(tmp_path):
    (tmp_path / "_cuda.so").write_text("not a library")
    assert "False _cuda.so can't be loaded: " in says(NN_CUDA_LIB=str(tmp_path / "_cuda.so"))


@pytest.mark.long
@pytest.mark.parametrize(("was", "becomes", "said"), [
    ("abi(void) { return 1; }", "abi(void) { return 99; }", "is of ABI 99, and this version of nn."),
    ('id(void) { return "', 'id(void) { return "x', "is older than csrc/cuda: build it anew")])
def test_is_another(tmp_path, was, becomes, said):
    build = built.build_cuda()
    about = build.about(tmp_path)
    text = about.read_text()
    assert was in text
    about.write_text(text.replace(was, becomes))
    library = tmp_path / "_cuda_emulated.so"
    build.link_emulation(library, [*built.emulation(tmp_path), *build.emulated([about], tmp_path)])
    assert said in says(NN_CUDA_LIB=str(library), NN_CUDA="emulation")


def test_is_emulated(path):
    assert says(NN_CUDA="emulation", NN_CUDA_LIB=str(path)) == "True None"


@pytest.mark.skipif(built.build_cuda().find_nvcc() is None, reason="no nvcc")
@pytest.mark.long
def test_is_built_by_nvcc_and_says_what_is_missing(tmp_path):
    """A library for GPUs loads where there is no driver, needs no other library, and warns of nothing."""
    library = tmp_path / "_cuda.so"
    built.build_cuda().compile_for_gpu(library)
    said = says(NN_CUDA_LIB=str(library))
    assert said == "True None" or said.startswith("False There is no GPU: ")
    needs = subprocess.run(["ldd", str(library)], capture_output=True, text=True, check=True).stdout
    assert "cuda" not in needs.replace(str(library), "")


@pytest.mark.parametrize("wrong", ["gpu", "DEVICE", "1"])
def test_wrong_words(wrong):
    assert says(NN_CUDA=wrong).endswith(f"NN_CUDA must be one of device, emulation, off; got '{wrong}'")


def test_nothing_can_be_called_without(tmp_path):
    program = "from nn import cuda; cuda.to_device([1.0])"
    assert says(program, NN_CUDA="off") == "RuntimeError: nn.cuda: NN_CUDA=off is set."
    program = "import nn.cuda; nn.kernels.use('cuda')"
    assert says(program, NN_CUDA="off") == "RuntimeError: use: no 'cuda' here. NN_CUDA=off is set."
    assert says("import nn; nn.kernels.use('cuda')").endswith("no 'cuda' here. nn.cuda is not imported.")
    assert says("import nn", NN_BACKEND="cuda", NN_CUDA="off") == "RuntimeError: nn.cuda: NN_CUDA=off is set."


def test_a_backend_for_a_whole_process(path):
    program = """
import numpy as np
from nn.kernels import gemm, qgemm, rans_encode
print(qgemm(np.ones((3, 4), np.uint8), np.ones((4, 5), np.int8)).sum(), rans_encode.choice, qgemm.choice < -9)
"""
    said = says(program, NN_BACKEND="cuda", NN_CUDA="emulation", NN_CUDA_LIB=str(path))
    assert said == "60 -1 True"                                # what no device runs, C does


def test_importing_starts_no_device():
    assert says("import nn.cuda, sys; print(nn.cuda.library.__module__)") == "nn.cuda.library"


def test_emulate_asks_for_an_order(device):
    with pytest.raises(ValueError, match="emulate: order must be one of forward, reverse, random; got 'any'"):
        device.emulate("any")


def test_emulation_without_a_compiler(tmp_path):
    """Says what is missing."""
    nn = tmp_path / "nn"
    without = shutil.ignore_patterns("_cuda*", "__pycache__")
    shutil.copytree(built.CUDA.parent.parent / "nn", nn, ignore=without)
    shutil.copytree(built.CUDA.parent, tmp_path / "csrc", ignore=without)
    said = says(f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import nn.cuda; nn.cuda.emulate()",
                CXX="no-such-compiler")
    assert said == ("RuntimeError: emulate: the emulation can't be built: error: no C++ compiler: "
                    "no-such-compiler is not there; install one, or name it in CXX")
