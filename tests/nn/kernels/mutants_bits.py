"""Wrong kernels of ±1 that are held as bits, under the law that must kill each; they join MUTANTS."""

from __future__ import annotations

import numpy as np

from nn.kernels import bconv2d, bgemm, sign_bits, thread_count
from nn.kernels.sign_bits import signs
from nn.testing import laws, laws_bits, laws_pass
from nn.testing.check import DOMAINS
from nn.testing.domain_bits import as_bits
from tests.nn.kernels.mutants import arguments, output
from tests.nn.kernels.mutants_pass import MUTANTS, kills

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


# ---- bconv2d ----

def padded(x_bits, padding, ones):
    """Images with bits around them, as a convolution without a 0 has them."""
    (down, across), word = padding, np.uint32(0xffffffff if ones else 0)
    return np.pad(x_bits, ((0, 0), (down, down), (across, across), (0, 0)), constant_values=word)


@kills(laws_bits.pads_with_the_mean_of_both_signs, bconv2d)
@kills(laws_bits.turns_signs_around, bconv2d)
@kills(laws_pass.agrees_with_the_specification, bconv2d)
def pads_with_plus_one(right, x, w, channels, padding, **how):
    return right(padded(x, padding, False), w, channels, padding=(0, 0), **how)


@kills(laws_pass.agrees_with_the_specification, bconv2d)
def takes_corners_off_twice(right, x, w, channels, padding, **how):
    """The sums of rows of taps outside, and then those of columns, without those that were both."""
    (y,), (one,) = right(x, w, channels, padding=padding, **how), pads_with_plus_one(
        right, x, w, channels, padding, **how)
    y[:, 0, 0] += (y - one)[:, 0, 0]
    return (y,)


@kills(laws_pass.agrees_with_the_specification, bconv2d)
def turns_the_filters(right, x, w, channels, **how):
    return right(x, w[:, ::-1, ::-1], channels, **how)


@kills(laws_pass.permutes_filters, bconv2d)
def gives_the_first_filter_another_place(right, x, w, channels, **how):
    (y,) = right(x, w, channels, **how)
    y[..., :1] += 2
    return (y,)


@kills(laws_pass.has_the_same_bits_on_any_threads, bconv2d)
def loses_the_last_row_to_a_second_thread(right, x, w, channels, **how):
    (y,) = right(x, w, channels, **how)
    if thread_count() > 1:
        y[:, -1:] += 1
    return (y,)


def packs_the_negative(w_bits, channels):
    return bconv2d.pack(as_bits(-signs(w_bits, channels)), channels)


MUTANTS.append((laws_pass.packs_filters, bconv2d, "packs_the_negative", DOMAINS["bconv2d"].flat(bconv2d),
                packs_the_negative))
