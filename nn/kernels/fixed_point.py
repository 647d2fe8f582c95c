"""A product with a real number, in integers alone: requantisation in gemmlowp and TFLite (Jacob et al. 2018).

    scale = multiplier · 2^−(31 + shift),   multiplier an integer in 2³⁰..2³¹ − 1 (2³¹·M₀ of eq. 6)

The product is rounded twice, to the upper half of 64 bits, and once more where that is shifted (§2.2):

    y = ⌊(acc · multiplier + 2³⁰) / 2³¹⌋        a half goes up: 0.5 → 1, −0.5 → 0
    y / 2^shift, to the nearest integer         a half goes away from zero: 0.5 → 1, −0.5 → −1

A scale of ¼ (multiplier 2³⁰, shift 1) makes 1 of acc = 1: 1 · ½ = 0.5 → 1, and then 1/2 = 0.5 → 1. Rounded
once, 0.25 is 0. The two differ, by 1, with probability 2^−(shift + 1) for a shift of at least 1: in 9.3 % of
all cases if the scales are uniform in 0..0.9. A negative shift, of a scale of 1 or more, comes before all
this: acc · 2^−shift, saturated to int32.
"""

import numpy as np

LEAST, MOST = 2.0**-32, 2.0**29  # scales, of which the shifts are 31 and -30


def multiplier_of(scale: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The multiplier and the shift, int64, of scales in 2⁻³²..2²⁹: of float64 the nearest multiplier.

    A fraction that is rounded up to 1 is ½ at the next exponent; its multiplier would be 2³¹, no int32.
    """
    fraction, exponent = np.frexp(np.asarray(scale, np.float64))  # fraction · 2^exponent, in ½..1
    multiplier = np.floor(fraction * 2.0**31 + 0.5).astype(np.int64)
    is_one = multiplier == 2**31
    return np.where(is_one, 2**30, multiplier), -(exponent + is_one).astype(np.int64)


def multiplied(acc: np.ndarray, multiplier: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """int32 acc · multiplier · 2^−(31 + shift), rounded twice as the module says: int64."""
    left, right = np.maximum(-shift, 0), np.maximum(shift, 0)
    acc = np.clip(acc.astype(np.int64) << left, -2**31, 2**31 - 1)
    y = (acc * multiplier + 2**30) >> 31
    return np.sign(y) * ((np.abs(y) + (np.int64(1) << right >> 1)) >> right)
