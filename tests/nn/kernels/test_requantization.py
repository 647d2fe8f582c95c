"""Requantisation in fixed point: what is said of it in numbers, its corners, and what it refuses."""

from itertools import product

import numpy as np
import pytest

from nn import kernels
from nn.kernels.fixed_point import LEAST, MOST, multiplied, multiplier_of
from nn.testing.laws_qgemm import in_fixed_point

ISAS = [variant.name for variant in kernels.qgemm.variants()]
MULTIPLIERS = [2**30, 2**30 + 1, 2**30 + 2**29, 2**31 - 2, 2**31 - 1]
SUMS = [-2**31, -2**31 + 1, -2**30 - 1, -2**30, *range(-3, 4), 2**30 - 1, 2**30, 2**31 - 2, 2**31 - 1]


def requantised(acc, scale, **more):
    """What qgemm makes of these sums: they come in as its bias."""
    a, b = np.zeros((1, 1), np.uint8), np.zeros((1, len(acc)), np.int8)
    return kernels.qgemm(a, b, bias=np.array(acc, np.int32), scale=scale, rounding="fixed-point", **more)[0]


def test_a_quarter_of_one_is_one():
    """1 · ½ = 0.5 → 1, and 1/2 = 0.5 → 1; but −1 · ½ = −0.5 → 0. Rounded once, 0.25 and −0.25 are 0."""
    acc = [-3, -2, -1, 0, 1, 2, 3]
    assert multiplied(np.array(acc), *multiplier_of(0.25)).tolist() == [-1, -1, 0, 0, 1, 1, 1]
    assert requantised(acc, 0.25, out_dtype=np.int8).tolist() == [-1, -1, 0, 0, 1, 1, 1]
    float32 = kernels.requantize(np.array(acc, np.int32), 0.25, out_zero=10)
    assert (float32.astype(int) - 10).tolist() == [-1, 0, 0, 0, 0, 0, 1]


def test_two_roundings_differ_from_one_in_nine_percent_of_all_cases():
    """Scales uniform in 0..0.9: the sum over s ≥ 1 of their share 2^−(s+1)/0.9 times 2^−(s+1) is 1/10.8."""
    rng, count = np.random.default_rng(0), 10**6
    acc, scale = rng.integers(-2**31, 2**31, count), rng.uniform(0, 0.9, count)
    multiplier, shift = multiplier_of(scale)
    total, exact = 31 + shift, acc * multiplier  # of less than 63 bits
    once = np.sign(exact) * ((np.abs(exact) + (np.int64(1) << (total - 1))) >> total)
    differ = np.abs(multiplied(acc, multiplier, shift) - once)
    assert differ.max() == 1
    assert abs(differ.mean() - 1 / 10.8) < 4 * np.sqrt(1 / 10.8 / count)
    for s in range(5):
        expected = 2.0**-(s + 1) * (s > 0)
        assert abs(differ[shift == s].mean() - expected) <= 5 * np.sqrt(expected / (shift == s).sum())


def test_the_multiplier_of_a_scale():
    """frexp's fraction in 31 bits, a half up; one that is rounded up to 1 is ½ at the next exponent."""
    scales = [0.75, 1 - 2.0**-31, 0.5, 1.0, 1 - 2.0**-32, 1 - 2.0**-53, 0.25 - 2.0**-40, LEAST, MOST]
    multiplier, shift = multiplier_of(scales)
    assert multiplier.tolist() == [3 * 2**29, 2**31 - 1, *[2**30] * 7]
    assert shift.tolist() == [0, 0, 0, -1, -1, -1, 1, 31, -30]


@pytest.mark.parametrize("isa", ISAS)
def test_every_corner(isa):
    """The ends of int32 and of the multipliers at each shift, in the whole range of int8."""
    acc, multiplier, shift = map(np.array, zip(*product(SUMS, MULTIPLIERS, range(-29, 32)), strict=True))
    scale = np.ldexp(multiplier.astype(np.float64), -31 - shift)
    want = np.array([*map(in_fixed_point, acc.tolist(), scale.tolist())])
    np.testing.assert_array_equal(multiplied(acc, *multiplier_of(scale)), want)
    with kernels.use(isa):
        got = requantised(acc, scale, out_dtype=np.int8, out_zero=-9)
        np.testing.assert_array_equal(got, np.clip(want - 9, -128, 127))
        got = requantised(acc, scale, out_zero=100, clip=(100, 106))
        np.testing.assert_array_equal(got, np.clip(want, 0, 6) + 100)


@pytest.mark.parametrize("isa", ISAS)
def test_one_scale_is_that_of_all_columns(isa):
    acc = np.arange(-300, 300)
    with kernels.use(isa):
        for scale in (0.3, 1 - 2.0**-40, 3.7, 2.0**-32, 2.0**29, np.float32(0.3)):
            both = scale, np.full(600, scale, np.float64)
            got, want = (requantised(acc, one, out_dtype=np.int8) for one in both)
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("isa", ISAS)
def test_float64_scales_are_rounded_to_float32_where_floats_are_multiplied(isa):
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (9, 50), np.uint8), rng.integers(-128, 128, (50, 33), np.int8)
    scale = rng.uniform(1e-4, 1e-2, 33)
    with kernels.use(isa):
        got = kernels.qgemm(a, b, scale=scale, out_zero=128)
    np.testing.assert_array_equal(got, kernels.qgemm(a, b, scale=scale.astype(np.float32), out_zero=128))


@pytest.mark.parametrize("kernel", ["qgemm", "qconv2d", "qdepthwise_conv2d"])
@pytest.mark.usefixtures("backend")
def test_what_fixed_point_can_not_say_is_refused(kernel):
    x, w = np.ones((2, 3, 3, 4), np.uint8), np.ones((4, 1 if "depth" in kernel else 4, 1, 1), np.int8)
    x, w = (x[0, 0], w[..., 0, 0]) if kernel == "qgemm" else (x, w)
    call = getattr(kernels, kernel)
    call(x, w, scale=LEAST, rounding="fixed-point")
    for bad in (0.0, -1.0, np.nextafter(LEAST, 0), np.nextafter(MOST, 1e9), np.inf, np.nan):
        with pytest.raises(ValueError, match=rf"^{kernel}: scale must be in 2\^-32..2\^29 for fixed-point"):
            call(x, w, scale=bad, rounding="fixed-point")
        for dtype in (np.float64, np.float32):
            vector = np.array([1, 1, bad, 1], dtype)
            if dtype is np.float64 or not LEAST <= vector[2] <= MOST:
                with pytest.raises(ValueError, match=rf"^{kernel}: every scale must be in 2\^-32.* column 2"):
                    call(x, w, scale=vector, rounding="fixed-point")
    for bad in (1e-60, 1e60):
        with pytest.raises(ValueError, match=f"^{kernel}: every scale must be positive and finite in"):
            call(x, w, scale=np.array([1, 1, bad, 1]))
    for bad in ("fixed", None, 3):
        with pytest.raises(ValueError, match=f"^{kernel}: rounding must be one of float, fixed-point"):
            call(x, w, scale=1.0, rounding=bad)
    with pytest.raises(ValueError, match=f"^{kernel}: rounding without scale must be float, got 'fix"):
        call(x, w, rounding="fixed-point")
    with pytest.raises(TypeError, match=f"^{kernel}: scale must be a number, got str"):
        call(x, w, scale="1", rounding="fixed-point")
