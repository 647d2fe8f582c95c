"""Weights in few bytes on the device: what the laws' small cases do not reach, and layouts on their own."""

import numpy as np
import pytest
from hypothesis import given

from nn import cuda, kernels
from nn.cuda.few_bits import units
from nn.cuda.kernels.qspmm_nm import of_lanes, rising
from nn.testing.check import cases, domain_of, forced
from nn.testing.laws import equals_specification

nbit, codebook, qspmm, spmm, bgemm = (domain_of(getattr(kernels, name)) for name in (
    "nbit_gemm", "codebook_gemm", "qspmm_nm", "spmm_nm", "bgemm"))
# Of each rung calls with more of K than is in shared memory at once: stages and chunks are used again.
LONG = [("nbit_gemm", rung, nbit._make(m, 2600, 9, bits, block, activations, True, "uniform", m))
        for rung, m in (("few", 1), ("few", 3), ("few", 9), ("tiles", 66))
        for bits, block, activations in ((4, 128, "float32"), (3, 512, "int8"), (2, 32, "int8"))]
LONG += [("codebook_gemm", rung, codebook._make(m, 2600, 9, size, activations, "uniform", m))
         for rung, m in (("few", 1), ("few", 3), ("few", 9), ("tiles", 66))
         for size, activations in ((16, "float32"), (200, "int8"))]
LONG += [("qspmm_nm", rung, qspmm._make(130, 129 * 2, 260, (2, 4), "uniform", seed))
         for rung, seed in (("mma", 1), ("mma_wide", 2))]
LONG += [("spmm_nm", "few", spmm._make(9, 200, 5, pattern, "uniform", 3)) for pattern in ((2, 4), (3, 7))]
LONG += [("bgemm", rung, bgemm._make(66, 4700, 67, "uniform", 4)) for rung in ("tiles", "mma")]


@pytest.mark.parametrize(("kernel", "rung", "case"), LONG)
def test_long_sums(kernel, rung, case, device):
    f = forced(getattr(kernels, kernel), f"{kernel}_cuda_{rung}")
    equals_specification(f, case)


@pytest.mark.parametrize(("kernel", "rung", "case"), [
    (kernel, rung, case) for kernel, rung, case in LONG
    if "mma" in rung or (rung == "tiles" and case.options.get("activations") == "int8")])
def test_ldmatrix_meets_no_bank_twice(kernel, rung, case, device):
    if not cuda.library().emulated:
        pytest.skip("a GPU does not count")
    cuda.library().counts()
    equals_specification(forced(getattr(kernels, kernel), f"{kernel}_cuda_{rung}"), case)
    assert cuda.library().counts()["bank conflicts"] == 0


@given(cases(kernels.qspmm_nm))
def test_pairs_in_the_order_of_sparse_tensor_cores_are_the_same_weight(case):
    x, values, indices = case.args
    if values.shape[2] != 2 or qspmm.of(case) != 4 or (found := rising(values, indices)) is None:
        return
    kept, places = found
    assert (places[..., 0] < places[..., 1]).all()
    np.testing.assert_array_equal(qspmm.dense(case), qspmm.dense(case.on(x, kept, places.astype(np.uint8))))


def test_a_place_named_twice_is_one_place_and_a_sum_that_is_no_int8_is_none():
    values = np.array([[[100, 27], [-3, 5], [1, 2]]], np.int8)
    indices = np.array([[[3, 3], [0, 0], [2, 1]]], np.uint8)
    kept, places = rising(values, indices)
    np.testing.assert_array_equal(kept, [[[0, 127], [2, 0], [2, 1]]])
    np.testing.assert_array_equal(places, [[[2, 3], [0, 1], [1, 2]]])
    assert rising(np.full((1, 1, 2), 64, np.int8), np.zeros((1, 1, 2), np.uint8)) is None


def test_places_lie_in_the_lanes_that_are_drawn():
    """csrc/cuda/mma.h: lane 4 g + t has row g + 8 (t % 2), of k 32 (t // 2)..; a group is four bits."""
    places = np.tile(np.array([0, 1], np.uint32), (16, 32, 1))
    places[11, 9] = 1, 3                       # row 8 + 3, k 36..39: of the second 32 group 1
    block, *others = of_lanes(places, 128)      # a whole tile, whose other rows have places 0 and 1
    lane, was = 4 * 3 + 3, 0x44444444
    assert block[0, lane] == was & ~0xf0 | (1 | 3 << 2) << 4
    block[0, lane] = was
    assert (block == was).all()
    assert (np.array(others) == was).all()


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_units_hold_each_code_where_it_is_drawn(bits):
    """csrc/cuda/codes.h: shifting and masking words gives quads of neighbouring k."""
    codes = np.random.default_rng(bits).integers(0, 1 << bits, (11, 70), dtype=np.uint8)
    made = units(codes, bits)
    assert made.shape == (2, 3, 8 * bits)
    for n, k in ((0, 0), (7, 31), (8, 32), (10, 69), (3, 45)):
        words, column, g = made[n // 8, k // 32], n % 8, k % 32 // 4
        if bits == 8:
            quad = words[g // 4 * 32 + column * 4 + g % 4]
        elif bits == 4:
            quad = words[column * 4 + g // 2] >> 4 * (g % 2) & 0x0f0f0f0f
        else:
            quad = words[column * 2 + g // 4] >> 2 * (g % 4) & 0x03030303
            quad |= (words[16 + column] >> g & 0x01010101) << 2 if bits == 3 else 0
        assert int(quad) >> 8 * (k % 4) & 255 == codes[n, k]
