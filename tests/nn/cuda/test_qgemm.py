"""qgemm on the device beyond the sizes of its laws: many tiles, in bands; and which rung serves which."""

from types import SimpleNamespace

import numpy as np
import pytest

from nn import kernels
from nn.cuda.device_kernel import Call
from nn.cuda.kernels.qgemm import _best

LARGE = [("dp4a", (300, 40, 260)), ("mma", (64 * 17 + 3, 40, 131)), ("mma", (65, 200, 64 * 17)),
         ("mma_wide", (128 * 17 + 3, 16, 258)), ("mma_wide", (130, 150, 3 * 256)), ("few", (37, 700, 50))]


@pytest.mark.parametrize(("rung", "shape"), LARGE)
def test_each_tile_is_computed_once_and_stored_where_it_belongs(rung, shape, device):
    """More rows of tiles than a band has, a last band that is not full, ragged last tiles."""
    if rung not in {v.name.removeprefix("qgemm_cuda_") for v in kernels.qgemm.variants()}:
        pytest.skip(f"{device.library().name} is too old for it")
    m, k, n = shape
    rng = np.random.default_rng(m)
    a, b = rng.integers(0, 256, (m, k), np.uint8), rng.integers(-128, 128, (k, n), np.int8)
    b_zero = rng.integers(-9, 10, n).astype(np.int32)
    options = {"a_zero": 7, "b_zero": b_zero, "scale": 1e-4, "out_zero": 100}
    with kernels.use(f"qgemm_cuda_{rung}"):
        sums, codes = kernels.qgemm(a, b), kernels.qgemm(a, b, **options)
    assert np.array_equal(sums, kernels.qgemm.reference(a, b))
    assert np.array_equal(codes, kernels.qgemm.reference(a, b, **options))


@pytest.mark.parametrize(("capability", "m", "n", "rung"), [
    ((7, 5), 1, 4096, "dp4a"), ((7, 5), 4096, 4096, "dp4a"), ((8, 0), 1, 4096, "few"),
    ((9, 0), 16, 4096, "few"), ((9, 0), 64, 1000, "mma"), ((9, 0), 1024, 1024, "mma"),
    ((9, 0), 4096, 4096, "mma_wide"), ((9, 0), 8192, 8192, "mma_wide")])
def test_the_rung_follows_from_the_sizes(capability, m, n, rung):
    library = SimpleNamespace(capability=capability, multiprocessors=132)
    assert _best(Call(None, library), m, n) == rung
