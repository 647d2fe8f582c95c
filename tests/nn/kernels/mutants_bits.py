"""Wrong kernels of ±1 that are held as bits, under the law that must kill each; they join MUTANTS."""

from __future__ import annotations

import numpy as np

from nn.kernels import bgemm, sign_bits
from nn.testing import laws, laws_bits, laws_pass
from tests.nn.kernels.mutants import arguments, output
from tests.nn.kernels.mutants_pass import kills

# ---- bgemm ----


@arguments(laws.permutes, bgemm)
def forgets_the_last_bit(a, b, k):
    top = np.uint32(0x7fffffff)
    return (a & top, b & top), {"k": k}


@output(laws_bits.negates, bgemm)
def counts_ones_and_not_signs(y, a, b, k):
    return (y + k) // 2


@output(laws_bits.negates, bgemm)
def reads_whole_words(y, a, b, k):
    y += 32 * a.shape[1] - k


@output(laws_bits.counts_every_bit, bgemm)
def keeps_sums_in_bytes_for_too_long(y, a, b, k):
    """32 steps add up to 256 in a byte, which is 0."""
    differ = (k - y) // 2
    return (k - 2 * np.where(differ == 1024, 0, differ)).astype(np.int32)


@output(laws_bits.is_as_odd_as_k, bgemm)
def multiplies_by_0_beyond_k(y, a, b, k):
    return y - (y > 0)


# ---- sign_bits ----

@kills(laws_pass.agrees_with_the_specification, sign_bits)
def puts_the_first_number_in_the_highest_bit(right, x):
    (bits,) = right(x)
    each = np.unpackbits(bits.astype(">u4").view(np.uint8), axis=1)
    return (np.packbits(each, axis=1, bitorder="little").view("<u4").astype(np.uint32),)


@kills(laws_bits.gives_back_signs, sign_bits)
def takes_the_sign_bit_of_a_float(right, x):
    return right(np.where(np.signbit(x), np.float32(-1), np.float32(1)))


@kills(laws_bits.gives_back_signs, sign_bits)
def sets_the_bits_beyond_a_row(right, x):
    (bits,) = right(x)
    if x.shape[1] % 32:
        bits[:, -1] |= np.uint32(0xffffffff) << np.uint32(x.shape[1] % 32)
    return (bits,)


@kills(laws_bits.refuses_what_has_no_sign, sign_bits)
def takes_nan_for_a_positive_number(right, x):
    return right(np.nan_to_num(x))


@kills(laws_bits.does_not_ask_how_large, sign_bits)
def rounds_small_numbers_to_0(right, x):
    return right(np.where(np.abs(x) < 1, np.float32(0), x))
