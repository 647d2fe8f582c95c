"""The emulator is what Intel's pseudocode says, number by number, and saturates where that does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
from compress import saturation
from compress.saturation import saturating_qgemm, vpaddsw, vpaddw, vpmaddubsw, vpmaddwd, wrong

BYTES, SIGNED = st.integers(0, 255), st.integers(-128, 127)
WORDS, DOUBLES = st.integers(-(2**15), 2**15 - 1), st.integers(-(2**31), 2**31 - 1)
ENDS = st.sampled_from([-(2**31), -(2**31) + 1, 2**31 - 1, 2**31 - 2, 0])


def saturate(n, bits):
    return max(-(2 ** (bits - 1)), min(n, 2 ** (bits - 1) - 1))


def wrap(n, bits):
    return (n + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


def array(numbers, dtype):
    return np.array(numbers, dtype)


def lists(*of, pairs=2):
    return st.tuples(*(st.lists(each, min_size=4 * pairs, max_size=4 * pairs) for each in of))


def neighbours(a, b, some):
    return [sum(x * y for x, y in zip(a[i:i + some], b[i:i + some], strict=True))
            for i in range(0, len(a), some)]


@given(lists(BYTES, SIGNED))
def test_vpmaddubsw(drawn):
    a, b = drawn
    got = vpmaddubsw(array(a, np.uint8), array(b, np.int8))
    assert got.dtype == np.int16
    assert got.tolist() == [saturate(n, 16) for n in neighbours(a, b, 2)]


def test_vpmaddubsw_at_its_corners():
    """Trap 7: 64,770 becomes 32,767, −65,280 becomes −32,768; 32,640 and −32,768 stand."""
    a = array([255, 255, 255, 255, 255, 255, 128, 128], np.uint8)
    b = array([127, 127, -128, -128, 64, 64, -128, -128], np.int8)
    assert vpmaddubsw(a, b).tolist() == [32_767, -32_768, 32_640, -32_768]


@given(lists(WORDS, WORDS))
def test_vpmaddwd(drawn):
    a, b = drawn
    got = vpmaddwd(array(a, np.int16), array(b, np.int16))
    assert got.dtype == np.int32
    assert got.tolist() == [wrap(n, 32) for n in neighbours(a, b, 2)]


def test_vpmaddwd_wraps_in_one_case():
    low = np.full(2, -(2**15), np.int16)
    assert vpmaddwd(low, low).tolist() == [-(2**31)]


@given(lists(WORDS, WORDS))
def test_additions_of_words(drawn):
    a, b = drawn
    x, y = array(a, np.int16), array(b, np.int16)
    assert vpaddw(x, y).tolist() == [wrap(p + q, 16) for p, q in zip(a, b, strict=True)]
    assert vpaddsw(x, y).tolist() == [saturate(p + q, 16) for p, q in zip(a, b, strict=True)]
    assert vpaddw(x, y).dtype == vpaddsw(x, y).dtype == np.int16


@given(lists(BYTES, SIGNED), st.lists(st.one_of(DOUBLES, ENDS), min_size=2, max_size=2))
def test_vnni(drawn, s):
    a, b = drawn
    given_ = array(s, np.int32), array(a, np.uint8), array(b, np.int8)
    exact = [n + m for n, m in zip(s, neighbours(a, b, 4), strict=True)]
    assert saturation.vpdpbusd(*given_).tolist() == [wrap(n, 32) for n in exact]
    assert saturation.vpdpbusds(*given_).tolist() == [saturate(n, 32) for n in exact]


def test_vnni_does_not_saturate_in_16_bits():
    zero, a, b = np.zeros(1, np.int32), np.full(4, 255, np.uint8), np.full(4, 127, np.int8)
    for add in (saturation.vpdpbusd, saturation.vpdpbusds):
        assert add(zero, a, b).tolist() == [4 * 255 * 127]


def by_hand(a, b, fold, n):
    """saturating_qgemm in plain Python, for b with n columns."""
    m, k = len(a), len(b)
    out = [[0] * n for _ in range(m)]
    for i, j in np.ndindex(m, n):
        x = [*a[i], *[0] * (-k % 4)]
        w = [*(row[j] for row in b), *[0] * (-k % 4)]
        pairs = [saturate(s, 16) for s in neighbours(x, w, 2)]
        for window in range(0, len(pairs), 2 * fold):
            some = pairs[window:window + 2 * fold]
            out[i][j] += sum(wrap(sum(some[lane::2]), 16) for lane in (0, 1))
    return out


@given(st.integers(0, 2), st.integers(0, 11), st.integers(1, 3), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_the_product_is_that_of_its_instructions(m, k, n, fold, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 256, (m, k)).astype(np.uint8), rng.integers(-128, 128, (k, n)).astype(np.int8)
    got = saturating_qgemm(a, b, fold)
    assert got.dtype == np.int32
    assert got.shape == (m, n)
    assert got.tolist() == by_hand(a.tolist(), b.tolist(), fold, n)


def test_what_it_costs_not_to_look():
    """Uniform full-range weights: nearly every sum is wrong; with 7 bits none is, with 6 none of two added,
    and three added are."""
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, (16, 256)).astype(np.uint8)
    w = rng.integers(-127, 128, (256, 32)).astype(np.int8)
    right = a.astype(np.int64) @ w
    off = wrong(saturating_qgemm(a, w), right)
    assert off.share > 99
    assert off.largest > 20_000
    assert "wrong, by up to" in str(off)
    for shift, fold in ((1, 1), (2, 2)):
        small = w >> shift
        assert wrong(saturating_qgemm(a, small, fold), a.astype(np.int64) @ small) == (0, 0)
    six = w >> 2
    assert wrong(saturating_qgemm(np.full_like(a, 255), np.abs(six), 3), 255 * np.abs(six).sum(
        axis=0, dtype=np.int64)).share > 0
    assert str(wrong(right, right)) == "all right"


@pytest.mark.parametrize(("a", "b", "fold", "error", "said"), [
    (np.zeros((2, 3), np.int8), np.zeros((3, 2), np.int8), 1, TypeError, "got int8 and int8"),
    (np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 1, TypeError, "got uint8 and uint8"),
    (np.zeros((2, 3), np.uint8), np.zeros((4, 2), np.int8), 1, ValueError, r"got \(2, 3\) and \(4, 2\)"),
    (np.zeros(3, np.uint8), np.zeros((3, 2), np.int8), 1, ValueError, r"got \(3,\) and"),
    (np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.int8), 0, ValueError, "at least 1; got 0"),
])
def test_other_operands_are_refused(a, b, fold, error, said):
    with pytest.raises(error, match=f"^saturating_qgemm: .*{said}"):
        compress.saturating_qgemm(a, b, fold)
