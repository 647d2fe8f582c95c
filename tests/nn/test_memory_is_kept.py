"""Steps of `fit` reuse the memory of the step before; importing nn alone changes nothing in the process."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

import nn

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import resource
import numpy as np
import nn
from nn import functional as F

{model}
optimizer = nn.optim.Adam(model.parameters())
{first}

def faults(steps):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(nn.Tensor(x)), y).backward()
        optimizer.step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults({before})
print(faults({steps}))
"""
DIGITS = """
model = nn.models.digits_cnn(rng=np.random.default_rng(0))
x, y = np.ones((64, 1, 8, 8), np.float32), np.zeros(64, np.int64)
"""
WIDE = """
parts = [part for _ in range(5) for part in (nn.Conv2d(16, 16, 1), nn.ReLU())]
model = nn.Sequential(*parts, nn.Flatten(), nn.Linear(16 * 128**2, 2))
x, y = np.ones((16, 16, 128, 128), np.float32), np.zeros(16, np.int64)
"""
FIT = "nn.train.fit(model, x, y, epochs=0, progress=False, optimizer=optimizer, rng=np.random.default_rng(0))"

GLIBC = pytest.mark.skipif(platform.libc_ver()[0] != "glibc",
                           reason="other C libraries have rules of their own")


def faults(model: str, first: str, before: int, steps: int, **set_outside: str) -> int:
    """The pages that so many steps after `first` got from the system, each of them cleared."""
    clean = {name: value for name, value in os.environ.items()
             if not name.startswith("MALLOC_") and name != "GLIBC_TUNABLES"} | set_outside
    program = PROGRAM.format(model=model, first=first, before=before, steps=steps)
    done = subprocess.run(
        [sys.executable, "-c", program], env=clean, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@GLIBC
@pytest.mark.parametrize("first", [FIT, "nn.memory.keep_freed()"])
def test_a_step_faults_no_memory_in(first):
    assert faults(DIGITS, first, 10, 20) < 20 * 60


@GLIBC
def test_importing_nn_and_compress_leaves_the_defaults_of_the_c_library():
    """Each step faults in some 600 pages then."""
    assert faults(DIGITS, "import compress", 10, 20) > 20 * 60


@GLIBC
@pytest.mark.skipif(nn.kernels.why_not_c() is not None, reason="said to the C library in C")
def test_nor_does_one_that_frees_more_than_the_end_of_a_heap_may_hold():
    """170 MB. With NumPy's means alone, thousands."""
    assert faults(WIDE, FIT, 2, 3) < 3 * 60


@GLIBC
@pytest.mark.parametrize("first", [FIT, "nn.memory.keep_freed()"])
def test_thresholds_set_from_outside_stand(first):
    few = dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), "131072")
    assert faults(DIGITS, first, 10, 20, **few) > 20 * 60


@GLIBC
@pytest.mark.skipif(nn.kernels.why_not_c() is not None, reason="said to the C library in C")
def test_fit_leaves_an_amount_that_was_chosen_before():
    assert faults(DIGITS, f"nn.memory.keep_freed(0); {FIT}", 10, 20) > 20 * 60


@pytest.mark.parametrize("most", [-1, 1 << 31, 2.0, "1 GiB", None, True])
def test_what_is_no_number_of_bytes_is_refused(most):
    with pytest.raises(ValueError, match="keep_freed: most must be a number of bytes in 0"):
        nn.memory.keep_freed(most)
