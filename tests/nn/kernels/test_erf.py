"""erf, gelu and gelu_grad: over their whole range against float64, at the ends, one result of all."""

import math

import numpy as np
import pytest

import nn
from nn import functional as F
from nn import kernels
from nn.kernels import erf, gelu, gelu_grad, native

NEEDS_C = pytest.mark.skipif(native.lib is None, reason="there are no C kernels here")
U = 2.0**-24
# One float of 499, from 0 to the largest.
EVERY = np.arange(0, 0x7f800000, 499, np.int32).view(np.float32)
ENDS = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 3.4e38, -3.4e38], np.float32)


def test_the_specification_is_the_error_function():
    x = np.concatenate([np.geomspace(1e-300, 7, 2000), np.linspace(0, 7, 2000)])
    want = np.array([math.erf(v) for v in x])
    assert (np.abs(erf.reference(x) - want) <= 5e-16 * want).all()


@NEEDS_C
def test_erf_is_within_3_units_in_the_last_place():
    want = erf.reference(EVERY.astype(np.float64))
    unit = np.maximum(np.spacing(want.astype(np.float32)), 2.0**-149)
    for sign in (1, -1):
        assert (np.abs(erf(sign * EVERY) - sign * want) <= 3 * unit).all()


@NEEDS_C
def test_gelu_has_digits_where_it_is_small():
    """Φ(−12) is 2e-33: 1 + erf would be 0. What is off is e^(−x²/2), for x² is rounded."""
    x = -EVERY[(EVERY > 0.1) & (EVERY < 12)]
    want = np.array([v * math.erfc(-v / 2**0.5) / 2 for v in x.astype(np.float64)])
    assert (np.abs(gelu(x) - want) <= U * (8 + x * x) * np.abs(want)).all()


@NEEDS_C
def test_gelu_and_its_gradient_everywhere():
    for x in (EVERY, -EVERY):
        wide = x.astype(np.float64)
        assert (np.abs(gelu(x) - gelu.reference(wide)) <= 4 * U * np.abs(wide) + 2.0**-148).all()
        ones = np.ones_like(x)
        assert (np.abs(gelu_grad(ones, x) - gelu_grad.reference(ones, wide)) <= 4 * U).all()


@pytest.mark.parametrize("backend", ["numpy", pytest.param("c", marks=NEEDS_C)])
@np.errstate(invalid="ignore")
def test_the_ends(backend):
    with kernels.use(backend):
        np.testing.assert_array_equal(erf(ENDS), np.array([1, -1, np.nan, 0, 0, 1, -1], np.float32))
        assert np.signbit(erf(ENDS)[[3, 4]]).tolist() == [False, True]
        np.testing.assert_array_equal(gelu(ENDS), [np.inf, np.nan, np.nan, 0, 0, np.float32(3.4e38), 0])
        slopes = gelu_grad(np.ones_like(ENDS), ENDS)
        np.testing.assert_array_equal(slopes, np.array([1, 0, np.nan, 0.5, 0.5, 1, 0], np.float32))


@NEEDS_C
def test_all_variants_give_the_same_bits():
    x = np.random.default_rng(0).normal(size=1001).astype(np.float32) * 4
    for kernel, arguments in ((erf, (x,)), (gelu, (x,)), (gelu_grad, (x[::-1].copy(), x))):
        results = []
        for variant in kernel.variants()[1:]:
            with kernels.use(variant):
                results.append(kernel(*arguments).tobytes())
        assert len(set(results)) == 1


def test_integers_become_floats_as_in_numpy():
    x = np.arange(-3, 4)
    want = [math.erf(v) for v in x]
    np.testing.assert_allclose(nn.Tensor(x).erf().numpy(), want, rtol=1e-15)
    below = [(1 + math.erf(v / 2**0.5)) / 2 for v in x]
    np.testing.assert_allclose(F.gelu(nn.Tensor(x)).numpy(), x * below, rtol=1e-14)
