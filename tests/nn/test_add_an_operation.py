"""README, "To add an operation", done literally in a copy: three files, two lines, and all else follows."""

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import numpy as np
import nn
from nn import functional as F
from nn.rules import RULES
from compress.cli.rules import entries

x = np.linspace(-3, 3, 7)
want = x * np.tanh(np.log1p(np.exp(x)))
for y in (F.mish(x), nn.Tensor(x).mish(), nn.Mish()(nn.Tensor(x)), nn.layers.Mish()(nn.Tensor(x))):
    np.testing.assert_allclose(y.data, want)
assert nn.gradcheck(RULES["mish"], order=2)
assert nn.gradcheck(F.mish, x, order=2)
_, change = nn.jvp(F.mish, x, np.ones(7))
t = nn.Tensor(x, requires_grad=True)
y = F.mish(t)
assert "mish(w1)" in y.explain() and RULES["mish"].formula in y.explain()
(g,) = nn.grad(y.sum(), t)
np.testing.assert_allclose(change.data, g)
(entry,) = entries(["mish"], check=True)
assert (entry.forward, entry.double, entry.checked) == ("own", "its lines on Tensors", "passed"), entry
assert "mish" in F.__all__ and "Misra" in F.mish.__doc__ and "tanh" in nn.Tensor.mish.__doc__
assert nn.trace(nn.Sequential(nn.Mish()), np.ones((2, 3), np.float32)).nodes[0].op == "mish"
"""


def blocks():
    """(path, text) of each block of code in the section."""
    readme = (ROOT / "README.md").read_text("utf-8")
    section = re.search(r"### To add an operation\n(.*?)\n### ", readme, re.S)
    found = re.findall(r"```python\n(.*?)```", textwrap.dedent(section[1]).replace("\n   ", "\n"), re.S)
    return [(re.match(r"# (\S+)\n", block)[1], block.partition("\n")[2]) for block in found]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("house")
    for package in ("nn", "compress"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for path, text in blocks():
        file = folder / path
        if file.exists():  # a line that offers what is new, among those that are there
            before, at, after = file.read_text("utf-8").partition("\n__all__")
            file.write_text(f"{before}{text}{at}{after}", "utf-8")
        else:
            file.write_text(text, "utf-8")
    return folder


def test_three_files_and_two_lines():
    new = [path for path, _ in blocks() if not (ROOT / path).exists()]
    lines = [text.strip() for path, text in blocks() if (ROOT / path).exists()]
    assert len(new) == 3
    assert len(lines) == 2
    assert all("\n" not in line for line in lines)


def test_the_operation_has_everything(copy):
    run = [sys.executable, "-W", "error", "-c", PROGRAM]
    done = subprocess.run(run, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
