"""What is proved of a sum is what brute force finds: its extremes are exact, and some input reaches them."""

import inspect
import re
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress import certify_weights, largest_k
from compress.overflow import folds, int16_sums, int32_sums, limits, saturating_pairs
from compress.saturation import saturating_qgemm, vpaddsw, vpaddw
from nn.kernels import qgemm

CORNERS = (-128, -127, -65, -64, -33, -32, -8, -7, -1, 0, 1, 7, 8, 32, 33, 63, 64, 65, 126, 127)


@st.composite
def matrices(draw, most=11):
    """int8 (K, N), of corners, or of any numbers up to some magnitude: 7 bits, 6, 4, …"""
    k, n = draw(st.integers(1, most)), draw(st.integers(1, 3))
    size = draw(st.sampled_from([127, 127, 64, 33, 32, 7, 1]))
    number = st.one_of(st.integers(-size, size), st.sampled_from([c for c in CORNERS if abs(c) <= size + 1]))
    return np.array(draw(st.lists(number, min_size=k * n, max_size=k * n)), np.int8).reshape(k, n)


def every_row(k, codes):
    """All rows of k such codes."""
    return np.array(list(product(codes, repeat=k)), np.uint8).reshape(-1, k)


def exact(a, b):
    return a.astype(np.int64) @ b.astype(np.int64)


# The numbers that everybody quotes


def test_how_many_products_always_fit():
    assert largest_k() == 66_311    # u8 · weights in ±127
    assert largest_k(128) == 65_793
    assert largest_k(255) == 33_025    # weights less a zero point
    assert [largest_k(w, bits=16) // 2 for w in (64, 32, 7, 1)] == [1, 2, 9, 64]
    assert largest_k(65, bits=16) // 2 == largest_k(127, bits=16) // 2 == 0
    assert largest_k(127, 127, bits=16) == largest_k(128, 127, bits=16) == 2    # activations of 7 bits
    assert largest_k(128, 128, bits=16) == 1    # |a|·sign(b) of −128: 32,768
    assert largest_k(bias=2**31 - 1) == 0
    assert largest_k(bias=-(2**31)) < 0


@pytest.mark.parametrize(("weight", "code"), [(127, 255), (128, 255), (255, 255), (7, 15)])
@pytest.mark.parametrize("bias", [0, 1_000_000, -(2**30)])
def test_one_product_more_does_not(weight, code, bias):
    k = largest_k(weight, code, bias)
    assert k * weight * code + abs(bias) <= 2**31 - 1 < (k + 1) * weight * code + abs(bias)


@pytest.mark.parametrize("bad", [(0, 255), (127, 0), (-1, 1)])
def test_factors_of_nothing_are_refused(bad):
    with pytest.raises(ValueError, match="weight and code must be positive"):
        largest_k(*bad)


def test_qgemm_says_the_same():
    said = {int(n.replace(",", "")) for n in re.findall(r"\b\d\d,?\d{3}\b", inspect.getdoc(qgemm))}
    assert said == {largest_k(255), largest_k(128)}


@pytest.mark.parametrize(("w", "k"), [(127, 66_311), (-127, 66_311), (-128, 65_793)])
def test_the_accumulator_overflows_at_the_next_k(w, k):
    """Trap 8, on the weights themselves; the kernel wraps around then, as int32 does."""
    whole = np.full((k + 1, 1), w, np.int8)
    assert int32_sums(whole[:-1], 0, 255, 0).holds
    found = int32_sums(whole, 0, 255, 0)
    assert not found.holds
    assert found.worst == 255 * w * (k + 1)
    assert found.limit == (-(2**31) if w < 0 else 2**31 - 1)
    x = found.counter_input[None].astype(np.uint8)
    assert exact(x, whole)[0, 0] == found.worst
    assert qgemm(x, whole)[0, 0] == (found.worst + 2**31) % 2**32 - 2**31 != found.worst


def test_a_bias_takes_from_the_room():
    w = np.array([[127], [-128]], np.int8)
    room = 2**31 - 1 - 255 * 127
    assert int32_sums(w, 0, 255, 0, np.array([room], np.int32)).room == 0
    assert int32_sums(w, 0, 255, 0, np.array([room + 1], np.int32)).room == -1
    assert int32_sums(w, 0, 255, 0, np.array([-(2**31) + 255 * 128], np.int32)).room == 0
    assert not int32_sums(w, 0, 255, 0, np.array([-(2**31) + 255 * 128 - 1], np.int32))
    assert not int32_sums(w, 0, 255, 1, np.array([room], np.int32))    # x − 1 may be −1, and −1·−128 more


def test_trap_7_of_vpmaddubsw():
    """255·127·2 = 64,770 does not fit; 7-bit weights do, and so do codes below 128; ±127 alone does not help.

    |a|·sign(b), with |a| at most 127, is 127·127·2 = 32,258; with −128 it would be 32,768."""
    two = np.ones((2, 1), np.int8)
    assert int16_sums(127 * two, 0, 255).worst == 64_770
    assert not int16_sums(127 * two, 0, 255)
    assert int16_sums(64 * two, 0, 255).worst == 32_640
    assert int16_sums(64 * two, 0, 255)
    assert not int16_sums(np.array([[64], [65]], np.int8), 0, 255)
    assert int16_sums(-64 * two, 0, 255).worst == -32_640
    assert int16_sums(-128 * two, 0, 127).worst == -32_512
    assert int16_sums(-128 * two, 0, 128).room == 0    # −32,768 fits
    assert int16_sums(127 * two, 0, 129).room == 1
    assert not int16_sums(127 * two, 0, 130)
    assert int16_sums(np.array([[127], [-127]], np.int8), 0, 255).worst == 32_385    # signs that differ


# Against brute force


@given(matrices(most=3), st.sampled_from([(0, 255), (3, 250), (0, 127), (7, 7), (100, 255)]),
       st.integers(0, 255), st.sampled_from([0, 12_345, 2**31 - 40_000, -(2**31) + 50_000]))
def test_the_extremes_of_int32_are_exact(w, codes, zero, bias):
    low, high = codes
    bias = np.full(w.shape[1], bias, np.int32)
    found = int32_sums(w, low, high, zero, bias)
    rows = every_row(len(w), sorted({low, min(low + 1, high), (low + high) // 2, high}))
    sums = (rows.astype(np.int64) - zero) @ w.astype(np.int64) + bias
    assert found.room == min(2**31 - 1 - sums.max(), sums.min() + 2**31)
    assert found.worst in (sums.max(), sums.min())
    assert found.holds == bool((sums == sums.astype(np.int32)).all())
    if not found.holds:
        assert (found.counter_input - zero) @ w[:, found.column].astype(np.int64) + bias[0] == found.worst


@given(matrices(), st.integers(1, 4))
def test_a_sum_is_largest_with_all_codes_of_positive_weights(w, fold):
    """max Σ w·x = 255·Σ w⁺, of any codes; the same of what vpmaddubsw adds, over its k."""
    signed = w.astype(np.int64)
    most, least = 255 * np.maximum(signed, 0).sum(axis=0), 255 * np.minimum(signed, 0).sum(axis=0)
    found = int32_sums(w, 0, 255, 0)
    assert found.worst == max((*most, *least), key=lambda sum_: (abs(sum_ + (sum_ < 0)), sum_ >= 0))
    part = int16_sums(w, 0, 255, fold)
    some = signed[list(part.k), part.column]
    assert part.worst in (255 * np.maximum(some, 0).sum(), 255 * np.minimum(some, 0).sum())


def is_right_of_int16(sums, w, fold):
    """What holds is right at every corner, in the emulator; what does not is wrong for the counter-input."""
    found = sums(w, 0, 255, fold)
    for add in (vpaddw, vpaddsw):
        if found.holds:
            rows = every_row(len(w), (0, 255)) if len(w) <= 8 else np.random.default_rng(0).choice(
                np.array([0, 255], np.uint8), (300, len(w)))
            np.testing.assert_array_equal(saturating_qgemm(rows, w, fold, add), exact(rows, w))
        else:
            x = found.counter_input[None].astype(np.uint8)
            right, computed = exact(x, w), saturating_qgemm(x, w, fold, add)
            assert right[0, found.column] == found.worst
            assert computed[0, found.column] != found.worst


@given(matrices(), st.integers(1, 4))
def test_int16_is_never_wrong(w, fold):
    is_right_of_int16(int16_sums, w, fold)


@given(matrices(most=30))
def test_fold_intervals_are_those_that_hold(w):
    assert folds(w, 0, 255).tolist() == [int16_sums(w, 0, 255, f + 1).holds for f in range(-(-len(w) // 4))]
    assert certify_weights(w).fold == max((f for f in range(1, 9) if f <= -(-len(w) // 4)
                                    and int16_sums(w, 0, 255, f)), default=0)
    if certify_weights(w).fold:
        is_right_of_int16(int16_sums, w, certify_weights(w).fold)


@given(matrices(), st.tuples(st.integers(0, 255), st.integers(0, 255)).map(sorted))
def test_narrower_codes_never_need_more_room(w, codes):
    assert int16_sums(w, *codes).room >= int16_sums(w, 0, 255).room
    assert int32_sums(w, *codes, 0).room >= int32_sums(w, 0, 255, 0).room
    assert saturating_pairs(w, *codes) <= saturating_pairs(w)
    assert (saturating_pairs(w, *codes) == 0) == int16_sums(w, *codes).holds


@given(matrices(most=30), st.booleans())
def test_it_agrees_with_what_packing_finds(w, grow):
    """The number by which qgemm chooses its route, in C and in NumPy: whether pairs fit, or how many of them
    may be added wherever a window begins. It is 0 if and only if one can saturate, and never too large."""
    w = np.repeat(w, 6, axis=1) if grow else w    # more than one panel
    found = qgemm.pack(w).parts["fold"]
    assert (found > 0) == int16_sums(w, 0, 255).holds
    assert folds(w, 0, 255)[:found].all()


def test_fold_of_bits():
    """Of weights of b bits: f = ⌊32,767 / (2·255·2^(b−1))⌋, and more where the weights allow it."""
    rng = np.random.default_rng(0)
    for highest, at_least in ((64, 1), (32, 2), (7, 9), (1, 64)):
        w = rng.integers(-highest, highest + 1, (1024, 16)).astype(np.int8)
        assert certify_weights(w).fold >= at_least
        assert certify_weights(np.full((1024, 1), highest, np.int8)).fold == at_least
    assert certify_weights(np.zeros((1024, 2), np.int8)).fold == 256
    assert certify_weights(np.full((1024, 1), 65, np.int8)).fold == 0


def test_a_longer_window_may_fit_where_a_shorter_does_not():
    """Windows begin at multiples of f: those of 2 split the large steps 2, 3 otherwise than those of 3 do."""
    w = np.zeros((24, 1), np.int8)
    w[8:10] = w[12:14] = 40
    assert folds(w, 0, 255).tolist() == [True, False, True, False, False, False]
    assert certify_weights(w).fold == 3


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_there_may_be_no_sums(shape):
    w = np.zeros(shape, np.int8)
    for found in (int32_sums(w, 0, 255, 0), int16_sums(w, 0, 255)):
        assert found.holds
        assert found.worst == 0
        assert found.headroom == np.inf
        assert "sum" in str(found)
    assert saturating_pairs(w) == 0


def test_headroom_is_in_bits():
    w = np.full((2, 1), 1, np.int8)
    assert int32_sums(w, 0, 255, 0, np.array([2**30 - 510], np.int32)).headroom == pytest.approx(1)
    assert int16_sums(64 * w, 0, 255).headroom == pytest.approx(0, abs=0.01)
    assert limits(16) == (-32_768, 32_767)


# Certificates that are wrong are found out


def looks_at_single_products(w, low, high, fold):
    return int16_sums(np.where(np.arange(len(w))[:, None] % 2 == 0, w, 0), low, high, fold)


def takes_the_last_code_for_254(w, low, high, fold):
    return int16_sums(w, low, high - 1, fold)


def forgets_negative_sums(w, low, high, fold):
    return int16_sums(np.maximum(w, 0), low, high, fold)


def forgets_the_second_lane(w, low, high, fold):
    return int16_sums(np.where(np.arange(len(w))[:, None] % 4 < 2, w, 0), low, high, fold)


def adds_one_step_less(w, low, high, fold):
    return int16_sums(w, low, high, max(fold - 1, 1))


def refuses_what_fits(w, low, high, fold):
    return int16_sums(np.clip(w.astype(np.int16) * 2, -128, 127).astype(np.int8), low, high, fold)


@pytest.mark.parametrize("mutant", [looks_at_single_products, takes_the_last_code_for_254,
                                    forgets_negative_sums, forgets_the_second_lane, adds_one_step_less,
                                    refuses_what_fits])
def test_a_wrong_certificate_is_found_out(mutant):
    edges = [np.array(w, np.int8).reshape(-1, 1) for w in (
        [64, 65], [-64, -65], [0, 0, 127, 127], [32] * 8, [33] * 8, [64, 64], [0, 0, 0, 0, 127, 127])]
    assert all(verdict(int16_sums, w) for w in edges)
    assert not all(verdict(mutant, w) for w in edges)


def verdict(sums, w):
    try:
        is_right_of_int16(sums, w, 2)
    except AssertionError:
        return False
    return True
