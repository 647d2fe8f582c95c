"""pow2_gemm: what its codes stand for, shapes that the laws are too quick for, and what it refuses."""

import numpy as np
import pytest

from nn import kernels
from nn.kernels.pow2_gemm import powers
from nn.testing.case import Case
from nn.testing.check import implementations
from nn.testing.domain_pow2 import CODES
from nn.testing.laws import equals_specification

A, W = np.ones((3, 4), np.uint8), np.ones((4, 5), np.uint8)


def test_every_code_has_its_weight():
    assert powers(CODES).tolist() == [0, 1, 2, 4, 8, 16, 32, 64, -1, -2, -4, -8, -16, -32, -64]
    assert kernels.pow2_gemm(np.array([[1], [3]], np.uint8), CODES[None]).tolist() == [
        powers(CODES).tolist(), (3 * powers(CODES).astype(int)).tolist()]


@pytest.mark.parametrize("f", implementations(kernels.pow2_gemm), ids=lambda f: f.name)
@pytest.mark.parametrize(("m", "k", "n"), [(300, 1101, 70), (5, 20001, 33), (1, 3000, 300), (150, 64, 500)])
def test_large(f, m, k, n):
    rng = np.random.default_rng(m)
    a, codes = rng.integers(0, 256, (m, k)).astype(np.uint8), rng.choice(CODES, (k, n))
    equals_specification(f, Case((a, codes), {"a_zero": 77, "bias": np.arange(n, dtype=np.int32)}))


def test_a_packed_weight_is_half_a_byte_and_remembers_no_dtype():
    packed = kernels.pow2_gemm.pack(np.resize(CODES, (64, 32)))
    assert packed.nbytes == 64 * 32 // 2 + 4 * 32
    a = np.arange(192, dtype=np.uint8).reshape(3, 64)
    for x in (a, a.view(np.int8), a):    # the same attributes, another dtype
        want = kernels.pow2_gemm.reference(x, packed.unpack(), a_zero=7)
        np.testing.assert_array_equal(kernels.pow2_gemm(x, packed, a_zero=7), want)
    kernels.pow2_gemm(a, packed, a_zero=200)
    with pytest.raises(ValueError, match=r"a_zero must be in -128\.\.127, got 200"):
        kernels.pow2_gemm(a.view(np.int8), packed, a_zero=200)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(("change", "error", "said"), [
    ({"a": A.astype(np.int16)}, TypeError, "a must be uint8 or int8, got int16"),
    ({"a": A[0]}, ValueError, r"a must have 2 dimensions, got shape \(4,\)"),
    ({"codes": W.astype(np.int8)}, TypeError, "codes must be uint8, got int8"),
    ({"codes": W[:3]}, ValueError, "a and codes must agree in K"),
    ({"codes": 8 * W}, ValueError, r"codes must be in 0\.\.15 and not 8, got 8"),
    ({"codes": 16 * W}, ValueError, r"codes must be in 0\.\.15 and not 8, got 16"),
    ({"a_zero": 256}, ValueError, r"a_zero must be in 0\.\.255, got 256"),
    ({"a_zero": 1.5}, TypeError, "a_zero must be an integer, got float"),
    ({"bias": np.zeros(5)}, TypeError, "bias must be int32, got float64"),
    ({"bias": np.zeros(4, np.int32)}, ValueError, "codes and bias must agree in N"),
    ({"out": np.zeros((3, 5), np.uint32)}, TypeError, "out must be int32, got uint32"),
    ({"out": np.zeros((3, 4), np.int32)}, ValueError, "out must have shape")])
def test_refuses(change, error, said):
    with pytest.raises(error, match=f"^pow2_gemm: {said}"):
        kernels.pow2_gemm(**{"a": A, "codes": W, **change})


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("name", ["a", "bias"])
def test_out_may_not_overlap(name):
    shared = np.zeros(80, np.uint8)
    given = {"a": shared[:12].reshape(3, 4), "bias": shared[:20].view(np.int32)}[name]
    with pytest.raises(ValueError, match=r"^pow2_gemm: out .*overlap"):
        kernels.pow2_gemm(**{"a": A, "codes": W, name: given}, out=shared[:60].view(np.int32).reshape(3, 5))
