"""The laws of ±1 that are held as bits: what is special to a sum of so many ±1, and to the bits of floats."""

from __future__ import annotations

import numpy as np

from ..kernels.sign_bits import signs
from .case import Case
from .domain_bits import Bgemm
from .laws import LAWS, Implementation, obeys, same
from .laws_pass import (
    PATCHES_LAWS,
    all_equal,
    has_the_same_bits_on_any_threads,
    packs_filters,
    permutes_filters,
)

LENGTHS = (31, 32, 33, 991, 992, 993, 1023, 1024, 1025, 2016, 4100)  # 992 bits are 31 words


def negates(f: Implementation, case: Case) -> None:
    """−A · B = −(A · B): all bits of a row flipped, but not those beyond its last."""
    a, b = f.domain.signs(case)
    same(f(f.domain.of(case, -a, b)), -f(case), "with −A")


def counts_every_bit(f: Implementation, case: Case) -> None:
    """Rows of nothing but +1 times rows of nothing but −1 give −k, and +k times themselves, however long:
    sums that are kept in bytes for a while do not overflow."""
    k = LENGTHS[case.seed % len(LENGTHS)]
    ends = np.ones((2, k), np.float32) * [[1], [-1]]
    got = f(Bgemm.of(case, ends, ends))
    same(got, np.array([[k, -k], [-k, k]], np.int32), f"rows of {k} numbers that are all alike")


def is_as_odd_as_k(f: Implementation, case: Case) -> None:
    """A sum of k numbers ±1 is as odd as k, and lies in −k..k."""
    y, k = f(case), case.options["k"]
    if ((y - k) % 2).any() or (np.abs(y.astype(np.int64)) > k).any():
        raise AssertionError(f"sums of {k} numbers ±1: {np.unique(y)}")


def gives_back_signs(f: Implementation, case: Case) -> None:
    """The bits stand for +1 where x ≥ 0, −0 too, else for −1; and those beyond a row are 0."""
    (x,) = case.args
    (bits,) = f(case)
    k, words = x.shape[1], bits.shape[1]
    same(signs(bits, k), np.where(x >= 0, 1.0, -1.0), "the signs that the bits stand for")
    same(signs(bits, 32 * words)[:, k:], np.ones((len(x), 32 * words - k)), "what is beyond a row")


def refuses_what_has_no_sign(f: Implementation, case: Case) -> None:
    """NaN anywhere raises ValueError: no bit stands for it."""
    (x,) = (case.args[0].copy(),)
    if not x.size:
        return
    x[tuple(case.rng().integers(0, x.shape))] = np.nan
    try:
        f(case.on(x))
    except ValueError:
        return
    raise AssertionError("NaN became a bit")


def does_not_ask_how_large(f: Implementation, case: Case) -> None:
    """x and any positive multiple of it have the same bits."""
    (x,) = case.args
    factors = np.exp2(case.rng().integers(1, 3, x.shape)).astype(np.float32)
    with np.errstate(over="ignore"):
        all_equal(f(case.on(x * factors)), f(case), "with numbers two or four times as large")


def pads_with_the_mean_of_both_signs(f: Implementation, case: Case) -> None:
    """0 is the mean of +1 and −1: so is each result that of two convolutions without padding, of images with
    +1 around them and of images with −1 around them."""
    x, w = f.domain.signs(case)
    down, across = case.options["padding"]
    around = ((0, 0), (down, down), (across, across), (0, 0))
    high, low = (f(f.domain.of(case, np.pad(x, around, constant_values=one), w, padding=(0, 0)))[0]
                 for one in (1, -1))
    all_equal(f(case), ((high + low) // 2,), "of images with +1, and with −1, around them")


def turns_signs_around(f: Implementation, case: Case) -> None:
    """The negative of an image, or of the filters, gives the negative of the result, at its border too."""
    x, w = f.domain.signs(case)
    (y,) = f(case)
    all_equal(f(f.domain.of(case, -x, w)), (-y,), "of −x")
    all_equal(f(f.domain.of(case, x, -w)), (-y,), "with −w")


obeys("bconv2d", *PATCHES_LAWS, permutes_filters, packs_filters, has_the_same_bits_on_any_threads,
      pads_with_the_mean_of_both_signs, turns_signs_around)
obeys("bgemm", *LAWS, negates, counts_every_bit, is_as_odd_as_k)
obeys("sign_bits", *PATCHES_LAWS, gives_back_signs, refuses_what_has_no_sign, does_not_ask_how_large)
