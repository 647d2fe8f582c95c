"""Entropy coders: package-merge is optimal, codes are complete, headers come back, bits lie as written."""

import heapq
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nn.kernels import huffman_decode, huffman_encode, rans_decode, rans_encode
from nn.kernels.frequencies import (
    entropy,
    expected_bits,
    normalized,
    pack_frequencies,
    table,
    unpack_frequencies,
)
from nn.kernels.huffman import streams_for
from nn.kernels.prefix_code import LIMIT, code_lengths, codewords, pack_lengths, unpack_lengths
from nn.kernels.rans import lanes_for

COUNTS = st.lists(st.one_of(st.integers(0, 5), st.integers(0, 10**6)), max_size=40).map(np.array)
COUNTS = COUNTS.map(lambda counts: counts.astype(np.int64))


def huffman_cost(counts):
    """Σ counts · lengths of Huffman's own code (1952): the two rarest become one, again and again."""
    heap, cost = [int(c) for c in counts if c], 0
    heapq.heapify(heap)
    while len(heap) > 1:
        both = heapq.heappop(heap) + heapq.heappop(heap)
        cost += both
        heapq.heappush(heap, both)
    return cost


def least_cost(counts, limit):
    """The same of every complete code of at most `limit` bits, by trying all lengths."""
    each = product(range(1, limit + 1), repeat=len(counts))
    return min(sum(c * b for c, b in zip(counts, lengths, strict=True)) for lengths in each
               if sum(1 << limit - b for b in lengths) == 1 << limit)


@given(COUNTS)
def test_lengths_are_complete_and_within_a_bit_of_the_entropy(counts):
    lengths, used = code_lengths(counts, LIMIT), int(np.count_nonzero(counts))
    assert ((lengths > 0) == (counts > 0)).all()
    kraft = np.sum(2.0 ** -lengths[lengths > 0].astype(float))
    assert kraft == {0: 0, 1: 0.5}.get(used, 1)
    cost = int(np.sum(counts * lengths))
    assert entropy(counts) - 1e-6 <= cost
    assert not used or cost < entropy(counts) + counts.sum() + 1e-6 or used == 1


@given(COUNTS)
def test_without_a_limit_that_binds_it_is_huffmans(counts):
    lengths = code_lengths(counts, LIMIT)
    if lengths.max(initial=0) < LIMIT and np.count_nonzero(counts) > 1:
        assert int(np.sum(counts * lengths)) == huffman_cost(counts)


@pytest.mark.parametrize("limit", [3, 4])
@pytest.mark.parametrize("counts", [[1, 1, 2, 3, 5, 8], [1, 1, 1, 1, 100, 1000], [7, 7, 7], [1, 2, 4, 8, 16],
                                    [3, 1]])
def test_no_code_of_this_limit_is_cheaper(counts, limit):
    lengths = code_lengths(np.array(counts), limit)
    assert lengths.max() <= limit
    assert int(np.sum(lengths * counts)) == least_cost(counts, limit)


def test_fibonacci_counts_meet_the_limit():
    counts = [1, 1]
    while len(counts) < 30:
        counts.append(counts[-1] + counts[-2])
    for limit in (5, 8, 12, 15):
        assert code_lengths(np.array(counts), limit).max() == limit


def test_codewords_are_those_of_rfc_1951():
    """The example of its section 3.2.2."""
    symbols, words = codewords(np.array([3, 3, 3, 3, 3, 2, 4, 4], np.uint8))
    assert symbols.tolist() == [5, 0, 1, 2, 3, 4, 6, 7]
    assert words.tolist() == [0b00, 0b010, 0b011, 0b100, 0b101, 0b110, 0b1110, 0b1111]


def test_bits_lie_as_it_is_written():
    symbols, lengths = np.array([2, 0, 1, 1, 0, 2], np.uint8), np.array([1, 2, 2], np.uint8)    # 0, 10, 11
    assert huffman_encode(symbols, lengths, streams=1).tolist() == [0b11010100, 0b11000000]
    assert huffman_encode(symbols, lengths).tolist() == [
        1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0b11000000, 0b10100000, 0b01100000]


def test_states_and_words_lie_as_it_is_written():
    """Of two symbols of one bit each, x becomes 2x + s: 2^16 has room for 15 of them, then a word goes."""
    symbols, x, words = np.array([1, 0] * 9, np.uint8), 1 << 16, []
    for s in symbols[::-1].tolist():
        if x >= 1 << 31:
            words, x = [x & 0xFFFF], x >> 16
        x = 2 * x + s
    data = rans_encode(symbols, np.array([1, 1], np.uint16), lanes=1)
    assert data.tolist() == [*x.to_bytes(4, "little"), *words[0].to_bytes(2, "little")]


@given(COUNTS, st.integers(0, 9))
def test_lengths_come_back_from_their_header(counts, more):
    lengths = code_lengths(counts)
    header = pack_lengths(lengths)
    back, read = unpack_lengths(np.append(header, np.zeros(3, np.uint8)), len(counts) + more)
    assert back[:len(counts)].tolist() == lengths.tolist()
    assert not back[len(counts):].any()
    assert read == len(header)


@given(COUNTS, st.integers(6, 15))
def test_frequencies_come_back_from_their_header(counts, bits):
    frequencies, header = table(counts, bits)
    back, read = unpack_frequencies(header, len(counts))
    assert back.tolist() == frequencies.tolist()
    assert read == len(header)
    exact = normalized(counts, bits)
    back, _ = unpack_frequencies(pack_frequencies(exact, bits), len(counts))
    assert back.tolist() == exact.tolist()


@given(COUNTS, st.integers(6, 15))
def test_frequencies_add_up_and_leave_nobody_out(counts, bits):
    frequencies = normalized(counts, bits).astype(np.int64)
    assert frequencies.sum() == (1 << bits if counts.any() else 0)
    assert ((frequencies > 0) == (counts > 0)).all()
    assert expected_bits(counts, frequencies) >= entropy(counts) - 1e-6
    for a, b in zip(np.argsort(counts)[:-1], np.argsort(counts)[1:], strict=True):
        assert counts[a] == counts[b] or frequencies[a] <= frequencies[b] + 1


@given(st.binary(max_size=12), st.booleans(), st.integers(0, 2**32 - 1))
def test_headers_may_hold_anything(header, mutate, seed):
    rng = np.random.default_rng(seed)
    header = np.frombuffer(header, np.uint8).copy()
    if mutate:
        counts = rng.integers(0, 50, 30)
        header = pack_lengths(code_lengths(counts)) if seed % 2 else table(counts)[1]
        header[rng.integers(len(header))] ^= 1 << rng.integers(8)
    for unpack in (unpack_lengths, unpack_frequencies):
        try:
            found, read = unpack(header, 4096)
        except ValueError:
            continue
        assert len(found) == 4096
        assert read <= len(header)


def test_few_symbols_have_a_short_header():
    rng = np.random.default_rng(0)
    counts = np.bincount(np.rint(rng.normal(16, 4, 600)).astype(int), minlength=32)
    assert len(pack_lengths(code_lengths(counts))) <= 12
    frequencies, header = table(counts)
    assert 8 * len(header) + expected_bits(counts, frequencies) < entropy(counts) + 8 * 20
    assert (streams_for(600), lanes_for(600), streams_for(10**5), lanes_for(10**5)) == (1, 1, 4, 32)


def test_rans_is_within_a_thousandth_of_the_entropy():
    rng = np.random.default_rng(0)
    symbols = np.rint(rng.normal(32, 4.15, 400_000)).astype(np.uint16)
    counts = np.bincount(symbols)
    frequencies, header = table(counts)
    data = rans_encode(symbols, frequencies)
    assert 8 * (len(data) + len(header)) < 1.001 * entropy(counts)
    np.testing.assert_array_equal(rans_decode(data, frequencies, len(symbols)), symbols)


ONE, NONE, S = np.array([1, 1], np.uint8), np.zeros(2, np.uint8), np.zeros(3, np.uint8)
F, F0 = np.array([1, 3], np.uint16), np.zeros(2, np.uint16)
STATE = np.array([0, 0, 1, 0], np.uint8)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(("call", "error", "said"), [
    (lambda: huffman_encode([0], ONE), TypeError, "huffman_encode: symbols must be a NumPy array, got list"),
    (lambda: huffman_encode(S.astype(int), ONE), TypeError, "symbols must be uint16 or uint8, got int64"),
    (lambda: huffman_encode(S, ONE, streams=2), ValueError, "streams must be 1 or 4, got 2"),
    (lambda: huffman_encode(S, ONE * 2), ValueError, r"complete code, .* got Σ = 0.5 of 2 symbols"),
    (lambda: huffman_encode(S, np.array([1, 1, 1], np.uint8)), ValueError, "Σ = 1.5 of 3 symbols"),
    (lambda: huffman_encode(S, ONE * 16), ValueError, "lengths must be at most 15, got 16"),
    (lambda: huffman_encode(S + 2, ONE), ValueError, "symbols must have codewords, got 2, which has none"),
    (lambda: huffman_encode(S, NONE), ValueError, "symbols must have codewords, got 0, which has none"),
    (lambda: huffman_decode(S, ONE, 25, streams=1), ValueError, "n must be at most 24, as 3 bytes"),
    (lambda: huffman_decode(S, ONE, -1, streams=1), ValueError, "n must be in 0"),
    (lambda: huffman_decode(S, ONE, 2.0, streams=1), TypeError, "n must be an integer, got float"),
    (lambda: huffman_decode(S, ONE, 3), ValueError, "data must begin with 12 bytes of sizes, got 3 bytes"),
    (lambda: huffman_decode(np.full(13, 255, np.uint8), ONE, 3), ValueError, "must hold 12884901885 bytes"),
    (lambda: huffman_decode(S, ONE, 3, streams=1), ValueError, "data are not 3 symbols in this code"),
    (lambda: huffman_decode(S, NONE, 2, streams=1), ValueError, "data are not 2 symbols in this code"),
    (lambda: rans_encode(S, F, lanes=3), ValueError, "lanes must be a power of two in 1..32, got 3"),
    (lambda: rans_encode(S, F[1:]), ValueError, r"add up to a power of two in 2..32768, .* got 3"),
    (lambda: rans_encode(S + 2, F), ValueError, "must have frequencies above 0, got 2, which has none"),
    (lambda: rans_encode(S, F0), ValueError, "symbols must have frequencies above 0, got 0, which has none"),
    (lambda: rans_decode(S, F, 3, lanes=1), ValueError, "data must have 4 bytes of states and two for each"),
    (lambda: rans_decode(STATE[:3].repeat(2), F, 3, lanes=1), ValueError, "states of at least 2.16, got 0"),
    (lambda: rans_decode(STATE, F0, 3, lanes=1), ValueError, "frequencies must not all be 0 for 3 symbols"),
    (lambda: rans_decode(STATE, F, 3, lanes=1), ValueError, "data are not 3 symbols of these frequencies"),
    (lambda: rans_decode(STATE, F, -3, lanes=1), ValueError, r"n must be in 0\.\.2147483647, got -3"),
])
def test_refuses(call, error, said):
    with pytest.raises(error, match=said):
        call()


@pytest.mark.parametrize(("call", "said"), [
    (lambda: code_lengths(np.ones(17, int), 4), "limit must be at least 5 for 17 symbols, got 4"),
    (lambda: code_lengths(np.array([-1])), "counts must be in 0"),
    (lambda: normalized(np.ones(17, int), 4), "bits must be at least 5 for 17 symbols, got 4"),
    (lambda: unpack_lengths(np.zeros(0, np.uint8)), "the header ends too early, after 0 bytes"),
    (lambda: unpack_lengths(pack_lengths(ONE), 1), "the header is of 2 symbols, wanted at most 1"),
    (lambda: unpack_frequencies(np.full(9, 1, np.uint8)), "unpack_frequencies: the header"),
])
def test_codes_refuse(call, said):
    with pytest.raises(ValueError, match=said):
        call()
