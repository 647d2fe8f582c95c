"""Requantisation in fixed point, wrong in one way: gemmlowp's two roundings, and what they begin with."""

import numpy as np

from nn.kernels import qgemm
from nn.kernels.fixed_point import multiplier_of
from nn.testing import laws_qgemm
from tests.nn.kernels.mutants import arguments, output


@arguments(laws_qgemm.rounds_twice_in_fixed_point, qgemm)
def rounds_floats_whatever_is_asked(a, b, rounding="float", **options):
    return (a, b), options


@arguments(laws_qgemm.rounds_twice_in_fixed_point, qgemm)
def has_a_multiplier_of_24_bits(a, b, scale=None, **options):
    return (a, b), {**options, "scale": None if scale is None else np.float32(scale)}


def in_fixed_point(change):
    """A qgemm that requantises so, of the sums and a multiplier and a shift each, as int64."""
    def spoil(y, a, b, scale=None, out_zero=0, out_dtype=None, rounding="float", clip=None, **options):
        if rounding == "float":
            return y
        acc, limits = qgemm.reference(a, b, **options).astype(np.int64), np.iinfo(out_dtype or a.dtype)
        scaled = change(acc, scale, *multiplier_of(scale))
        return np.clip(scaled + out_zero, *clip or (limits.min, limits.max)).astype(limits.dtype)
    return spoil


def shifted_left(acc, shift):
    return np.clip(acc << np.maximum(-shift, 0), -2**31, 2**31 - 1)


def half_up(y, bits):
    return (y + (np.int64(1) << bits >> 1)) >> bits


def half_away(y, bits):
    return np.sign(y) * half_up(np.abs(y), bits)


def twice(first, second):
    """Two roundings of these kinds."""
    return lambda acc, scale, multiplier, shift: second(
        first(shifted_left(acc, shift) * multiplier, np.int64(31)), np.maximum(shift, 0))


right = twice(half_up, half_away)


def once(acc, scale, multiplier, shift):
    return half_away(shifted_left(acc, shift) * multiplier, 31 + np.maximum(shift, 0))


def not_renormalised(acc, scale, multiplier, shift):
    fraction, exponent = np.frexp(np.asarray(scale, np.float64))
    multiplier = np.floor(fraction * 2.0**31 + 0.5).astype(np.int64).astype(np.int32)
    return right(acc, scale, multiplier.astype(np.int64), -exponent.astype(np.int64))


def wraps_when_shifted_left(acc, scale, multiplier, shift):
    acc = (acc << np.maximum(-shift, 0)).astype(np.int32).astype(np.int64)
    return half_away(half_up(acc * multiplier, np.int64(31)), np.maximum(shift, 0))


for change, name in ((twice(half_up, half_up), "rounds_half_up_at_the_end"),
                     (twice(half_away, half_away), "rounds_half_away_at_once"),
                     (twice(half_up, np.right_shift), "cuts_off_at_the_end"),
                     (once, "rounds_once"), (not_renormalised, "lets_the_multiplier_overflow"),
                     (wraps_when_shifted_left, "wraps_around_when_shifted_left")):
    spoil = in_fixed_point(change)
    spoil.__name__ = f"in_fixed_point_{name}"
    output(laws_qgemm.rounds_twice_in_fixed_point, qgemm)(spoil)
for change, name in ((wraps_when_shifted_left, "wraps_around_when_shifted_left"),
                     (lambda acc, scale, multiplier, shift: acc * multiplier >> 32 + np.maximum(shift, 0),
                      "is_off_by_a_factor_of_two")):
    spoil = in_fixed_point(change)
    spoil.__name__ = f"in_fixed_point_{name}"
    output(laws_qgemm.is_monotone_in_fixed_point, qgemm)(spoil)
