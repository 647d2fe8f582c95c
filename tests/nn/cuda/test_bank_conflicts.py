"""What qgemm reads by ldmatrix comes in one step: no two rows of eight lie in the same banks of memory.
Nothing that is computed depends on it, so no law of the kernel would say."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nn import cuda, kernels
from tests.nn.cuda import built

ROOT = Path(__file__).parents[3]
RUNGS = "mma", "mma_wide"


def conflicts(rung):
    """Of a product that has every stage of a tile, whole and ragged ones: rows that waited for others."""
    rng = np.random.default_rng(3)
    a = rng.integers(0, 256, (70, 328), dtype=np.uint8)
    b = rng.integers(-128, 128, (328, 80), dtype=np.int8)
    cuda.library().counts()                                    # those of before are no longer in the next
    with kernels.use(f"qgemm_cuda_{rung}"):
        kernels.qgemm(a, b)
    counts = cuda.library().counts()
    assert counts["products of a warp"]
    return counts["bank conflicts"]


@pytest.mark.parametrize("rung", RUNGS)
def test_no_two_rows_in_the_same_banks(rung, device):
    if not device.library().emulated:
        pytest.skip("a GPU does not count them")
    assert conflicts(rung) == 0


@pytest.mark.long
def test_another_order_of_pieces_is_noticed(device, tmp_path):
    """With the pieces of each row in their own order, rows r, r + 2, r + 4 and r + 6 meet."""
    if not device.library().emulated:
        pytest.skip("a GPU does not count them")
    folder = built.copied(tmp_path / "cuda")
    tiles = folder / "int8_tiles.h"
    right = tiles.read_text(encoding="utf-8")
    tiles.write_text(right.replace("(piece ^ (row / 2 % 4)) * 16", "piece * 16"), encoding="utf-8")
    assert tiles.read_text(encoding="utf-8") != right
    library = built.linked(tmp_path / "_cuda_emulated.so", folder, built.emulation(tmp_path),
                           *sorted(folder.glob("qgemm*.cu")))
    done = subprocess.run([sys.executable, "-m", "tests.nn.cuda.test_bank_conflicts"], cwd=ROOT, text=True,
                          env={**os.environ, "NN_CUDA": "emulation", "NN_CUDA_LIB": str(library)},
                          capture_output=True, check=True, timeout=300)
    assert all(int(found) > 0 for found in done.stdout.split()), done.stdout


if __name__ == "__main__":
    print(*map(conflicts, RUNGS))
