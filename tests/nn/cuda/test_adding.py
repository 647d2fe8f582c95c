"""A kernel for a GPU is added as README.md says, in a copy of the sources: two files and no line more."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.nn.cuda import built

ROOT = built.CUDA.parent.parent
README = ROOT / "README.md"
PROGRAM = """
from nn import cuda, kernels
from nn.testing.check import forced, holds, laws_for
cuda.emulate()
assert [v.name for v in kernels.square.variants()][-1] == "square_cuda_plain"
for order in ("forward", "reverse", "random"):
    cuda.emulate(order)
    f = forced(kernels.square, "square_cuda_plain")
    for law in laws_for(f):
        holds(law, f, examples=5)
print(len(laws_for(f)) > 2)
"""


@pytest.mark.long
@pytest.mark.skipif(not README.is_file(), reason="needs README.md")
def test_a_kernel_for_a_gpu_is_two_files(device, tmp_path):
    text = README.read_text(encoding="utf-8")
    for name in ("nn", "csrc"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    for title, kinds in (("### To add a kernel\n", {"python": "nn/kernels/square.py", "c": "csrc/square.c"}),
                         ("### To add a kernel for a GPU", {"python": "nn/cuda/kernels/square.py",
                                                            "cpp": "csrc/cuda/square.cu"})):
        section = text.split(title)[1].split("\n### ")[0]
        for kind, path in kinds.items():
            (code,) = re.findall(rf"```{kind}\n(.*?)```", section, re.DOTALL)
            (tmp_path / path).write_text(code, encoding="utf-8")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NN_")}
    run = subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM], cwd=tmp_path, capture_output=True,
                         env={**clean, "PYTHONPATH": str(tmp_path), "NN_BACKEND": "numpy"}, text=True,
                         check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "True"
