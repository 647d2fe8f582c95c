"""Products of floats on the device: what the laws of gemm and half_gemm do not ask."""

from dataclasses import replace

import numpy as np
import pytest

from nn import cuda
from nn.kernels import gemm, half_gemm, use
from nn.testing.case import Case
from nn.testing.check import forced, holds
from nn.testing.domain import DOMAINS, OF_VARIANTS
from nn.testing.domain_half import as_halves
from nn.testing.domain_tensor_cores import rounded_to_tf32
from nn.testing.laws import equals_specification, same
from nn.testing.laws_float import is_exact_on_small_integers, reads_every_half

LARGE = 130, 200, 259  # two tiles of rows, two of columns, four steps of k; none of them whole


def numbers(m, k, n, of_a=np.float32, of_b=np.float32):
    rng = np.random.default_rng(m * k * n)
    a, b = rng.standard_normal((m, k), np.float32), rng.standard_normal((k, n), np.float32)
    return Case((a.astype(of_a), as_halves(b, of_b) if of_b is np.uint16 else b.astype(of_b)))


def halves(m, k, n):
    return numbers(m, k, n, np.float16, np.float16)


def multiplies_tf32_exactly(f, case):
    """Numbers that are tf32 lose nothing before they are multiplied."""
    a, b = (rounded_to_tf32(x) for x in case.args)
    rounded = case.on(a, b)
    exact = f.domain.exactly(rounded)
    half_ulp = np.abs(exact) * 2.0 ** -24 + 2.0 ** -150
    same(f(rounded), exact.astype(np.float32), "of tf32", f.domain.of_rounded(rounded) + half_ulp)


def test_tf32_multiplies_tf32_exactly(device):
    holds(multiplies_tf32_exactly, forced(gemm, "gemm_cuda_tf32"))


@pytest.mark.parametrize("law", [multiplies_tf32_exactly, equals_specification])
def test_the_laws_of_tf32_find_a_bit_too_few(law, device):
    def cut(a, b):
        return gemm.reference((a.view(np.uint32) & np.uint32(0xffff_c000)).view(np.float32), b)

    f = replace(forced(gemm, "gemm_cuda_tf32"), run=cut)
    with pytest.raises(AssertionError, match="wrong"):
        holds(law, f, examples=60, shrink=False)


def test_tf32_is_less_exact_than_gemm_and_comes_only_when_it_is_asked_for(device):
    case = numbers(40, 64, 48)
    for f, right in ((forced(gemm, "cuda"), True), (forced(gemm, "gemm_cuda_tf32"), False)):
        error = np.abs(f(case) - OF_VARIANTS["gemm_cuda_tf32"].exactly(case))
        assert right == bool((error <= forced(gemm, "gemm_numpy").domain.bound(case) * 1.01).all())


def test_the_tf32_of_the_law_is_that_of_the_device(device):
    """1 · x is x rounded: subnormal numbers too, and those half-way between two."""
    bits = np.random.default_rng(0).integers(0, 1 << 32, 300, dtype=np.uint32)
    x = np.r_[bits & 0xffffe000 | 0x1000, bits & 0x807fffff, bits].view(np.float32)
    x = x[np.abs(x) < 1e38]
    with use("gemm_cuda_tf32"):
        got = gemm(x[:, None], np.ones((1, 1), np.float32))[:, 0]
    same(got, rounded_to_tf32(x), "numbers of tf32")


@pytest.mark.parametrize("of_b", [np.float16, np.uint16])
@pytest.mark.parametrize("rung", ["registers", "mma"])
def test_all_65536_numbers(rung, of_b, device):
    f = replace(forced(half_gemm, f"half_gemm_cuda_{rung}"), domain=DOMAINS["half_gemm"])
    reads_every_half(f, numbers(1, 1, 1, np.float16, of_b))


@pytest.mark.parametrize(("kernel", "rung", "made"), [
    (gemm, "tf32", numbers), (half_gemm, "mma", halves), (half_gemm, "mma_large", halves)])
def test_ldmatrix_meets_no_bank_twice(kernel, rung, made, order):
    if not cuda.library().emulated:
        pytest.skip("a GPU does not count")
    cuda.library().counts()
    equals_specification(forced(kernel, f"{kernel.name}_cuda_{rung}"), made(70, 300, 90))
    assert cuda.library().counts()["bank conflicts"] == 0


@pytest.mark.parametrize("kinds", [
    (np.float16, np.float16), (np.float32, np.float16), (np.float16, np.uint16)])
def test_large_tiles_have_edges_too(kinds, order):
    case = numbers(*LARGE, *kinds)
    f = forced(half_gemm, "half_gemm_cuda_mma_large")
    equals_specification(f, case)
    if kinds == (np.float16, np.float16):
        is_exact_on_small_integers(f, case)
        same(f(case), forced(half_gemm, "half_gemm_cuda_mma")(case), "large tiles, against small ones")


def test_large_tiles_of_tf32(device, monkeypatch):
    monkeypatch.setattr("nn.cuda.kernels.gemm.large_tiles", lambda *_: True)
    f = forced(gemm, "gemm_cuda_tf32")
    equals_specification(f, numbers(*LARGE))
    is_exact_on_small_integers(f, numbers(*LARGE))


@pytest.mark.parametrize(("kernel", "made"), [(gemm, numbers), (half_gemm, halves)])
def test_rungs_without_tensor_cores_give_the_same_bits(kernel, made, device):
    case = made(70, 90, 67)
    rungs = (f"{kernel.name}_cuda_{rung}" for rung in ("naive", "shared", "registers"))
    assert len({forced(kernel, rung)(case).tobytes() for rung in rungs}) == 1


@pytest.mark.parametrize(("kernel", "case"), [
    (gemm, numbers(5, 11, 7)), (gemm, numbers(40, 16, 36)), (gemm, numbers(3, 0, 2)),
    (half_gemm, halves(5, 11, 7)), (half_gemm, halves(40, 16, 36)),
    (half_gemm, numbers(5, 11, 7, np.float32, np.uint16))])
def test_arrays_of_the_device_give_what_crossing_ones_give(kernel, case, device):
    """b too, packed or not, which is turned there."""
    a, b = map(cuda.to_device, case.args)
    with use("cuda"):
        want = kernel(*case.args)
    for found in (kernel(a, b), kernel(a, kernel.pack(case.args[1])), kernel(case.args[0], b)):
        same(found.numpy(), want, "on the device")


def test_a_device_without_such_tensor_cores_does_without(device, monkeypatch):
    case = halves(40, 24, 48)
    monkeypatch.setattr(cuda.library(), "capability", (7, 5))
    there = {v.name for kernel in (gemm, half_gemm) for v in kernel.variants()}
    assert not there & {"half_gemm_cuda_mma", "half_gemm_cuda_mma_large", "gemm_cuda_tf32"}
    with use("cuda"):
        got = half_gemm(*case.args)
    same(got, forced(half_gemm, "half_gemm_cuda_registers")(case), "where there are none")
