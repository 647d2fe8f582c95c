"""How an operation is lowered is one file in compress/lower/, as the README says, and nothing else."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CHECK = """
import numpy as np
import compress, nn

class Net(nn.Module):
    def __init__(self):
        self.fc = nn.Linear(4, 3, rng=np.random.default_rng(0))

    def forward(self, x):
        return -self.fc(x)

x = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
model = Net()
program = compress.convert(model, x)
np.testing.assert_array_equal(program(x), model(nn.Tensor(x)).data)
compress.save(program, "p")
np.testing.assert_array_equal(compress.load("p")(x), program(x))
print(*(call.op for call in program.calls))
"""


def test_the_file_of_the_readme_is_all_it_takes(tmp_path):
    (code,) = re.findall(r"### To lower an operation\n.*?```python\n(.*?)```",
                         (ROOT / "README.md").read_text(), re.S)
    for package in ("compress", "nn"):
        shutil.copytree(ROOT / package, tmp_path / package,
                        ignore=shutil.ignore_patterns("__pycache__", "cli"))
    assert ops(tmp_path) == ["linear", "numpy:", "neg"]
    (tmp_path / "compress" / "lower" / "negation.py").write_text(code)
    assert ops(tmp_path) == ["linear", "scale"]


def ops(folder):
    """What the network of CHECK is lowered to by the packages in this folder."""
    run = subprocess.run([sys.executable, "-c", CHECK], cwd=folder, env={"PYTHONPATH": str(folder)},
                         text=True,
                         capture_output=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()
