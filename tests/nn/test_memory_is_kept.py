"""Steps of a training reuse the memory of the step before: none of it comes from the system again."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import resource
import numpy as np
import nn
from nn import functional as F

model = nn.models.digits_cnn(rng=np.random.default_rng(0))
optimizer = nn.optim.Adam(model.parameters())
x, y = np.ones((64, 1, 8, 8), np.float32), np.zeros(64, np.int64)

def faults(steps):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(nn.Tensor(x)), y).backward()
        optimizer.step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults(10)
print(faults(20))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have rules of their own")
def test_a_step_faults_no_memory_in():
    """Without it, each step faults in some 600 pages."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=clean, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 20 * 60
